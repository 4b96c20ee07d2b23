"""The ways to wake the engine, one file each, and the registry that creates them."""

from importlib import import_module
from typing import Protocol

from config import Settings, SettingsError
from notifier.dispatchers import uwsgi_host

# Name → the module with its `create`.
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
# Name → our extra that installs its libraries.
EXTRAS = {"script": "script", "rq": "rq", "celery": "celery"}


class Dispatcher(Protocol):
    """Wakes an engine for a new job, after its message has been committed.

    It carries only a wake-up: the job is in the outbox, so a lost wake-up loses
    nothing. One object serves all threads of a web worker.
    """

    def start(self) -> None:
        """Start watching the outbox; called once in each web worker process."""

    def dispatch(self, job_id: int) -> None:
        """Have the job pushed. Returns at once and never raises.

        0 means no particular job: other work is due, such as an import.
        """

    def close(self) -> None:
        """Stop watching; work in other processes goes on."""


def create(settings: Settings) -> Dispatcher:
    """The dispatcher that the settings name; raises SettingsError if it cannot run."""
    name = settings.dispatcher
    if name not in DISPATCHERS:
        known = ", ".join(DISPATCHERS)
        raise SettingsError(
            "BOTTLEPOST_DISPATCHER", f"must be one of {known}, not {name!r}"
        )
    uwsgi_host.require_threads(name)
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
