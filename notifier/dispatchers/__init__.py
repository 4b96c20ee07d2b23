"""The ways to wake the engine, one file each, and the registry that opens them."""

from importlib import import_module
from typing import Protocol

from config import Settings, SettingsError
from notifier.dispatchers import uwsgi_host

# Name → the module that opens it.
DISPATCHERS = {
    "inline": "notifier.dispatchers.inline",
    "thread": "notifier.dispatchers.thread",
    "process": "notifier.dispatchers.process",
    "pool": "notifier.dispatchers.pool",
    "polling": "notifier.dispatchers.polling",
    "manager": "notifier.dispatchers.manager",
    "script": "notifier.dispatchers.script",
    "uwsgi_thread": "notifier.dispatchers.uwsgi_thread",
    "uwsgi_spooler": "notifier.dispatchers.uwsgi_spooler",
    "rq": "notifier.dispatchers.rq_queue",
    "celery": "notifier.dispatchers.celery_queue",
}
# Name → the extra of ours that brings what it needs.
EXTRAS = {"script": "script", "rq": "rq", "celery": "celery"}


class Dispatcher(Protocol):
    """Who is told of a new job, after its message has been committed.

    It carries only the news: the job is in the outbox, and losing the news loses
    nothing. One object serves all threads of a web worker.
    """

    def start(self) -> None:
        """Begin to watch the outbox; called once in each web worker process."""

    def dispatch(self, job_id: int) -> None:
        """Have the job worked on. Returns at once, and never raises.

        0 is no job in particular: there is something to be done, such as an import.
        """

    def close(self) -> None:
        """Stop watching; work under way elsewhere goes on."""


def create(settings: Settings) -> Dispatcher:
    """The dispatcher of the settings; raises SettingsError if it cannot be had."""
    name = settings.dispatcher
    if name not in DISPATCHERS:
        known = ", ".join(DISPATCHERS)
        raise SettingsError(
            "BOTTLEPOST_DISPATCHER", f"must be one of {known}, not {name!r}"
        )
    uwsgi_host.check_threads(name)
    try:
        module = import_module(DISPATCHERS[name])
    except ModuleNotFoundError as missing:
        if name not in EXTRAS:
            raise
        raise SettingsError(
            "BOTTLEPOST_DISPATCHER",
            f"is {name!r}, which needs {missing.name}: "
            f"pip install -e '.[{EXTRAS[name]}]'",
        ) from missing
    dispatcher: Dispatcher = module.create(settings)
    return dispatcher
