"""Dispatcher `uwsgi_spooler`: the news is a file, uWSGI's spoolers do the work.

uWSGI runs them beside its workers: --spooler DIR --spooler-processes N. Under
--lazy-apps they also need --spooler-import notifier.dispatchers.uwsgi_spooler.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

import config
from config import Settings
from datastore import Datastore
from datastore.outbox import job_status
from notifier.dispatchers import uwsgi_host
from notifier.process import (
    engine_thread,
    preload,  # noqa: F401 - once, before uWSGI forks its spoolers
)
from notifier.process.per_process import PerProcess
from notifier.process.wake_sender import ANY_JOB
from notifier.process.watchdog import Watchdog

uwsgi_host.check("uwsgi_spooler", "spooler")

import uwsgi  # noqa: E402 - only after the check
from uwsgidecorators import spoolraw  # noqa: E402

log = logging.getLogger(__name__)

# Where the spoolers do not get on, the watchdog adds no more to their heap.
MOST_FILES = 100
# How much nicer than uWSGI itself spoolers are: answers come before pushes.
NICE = 5


class UwsgiSpoolerDispatcher(PerProcess):
    """A file in the spool survives uWSGI's restart, as the outbox does anyway."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def dispatch(self, job_id: int) -> None:
        try:
            self.start()
            push({b"job": b"%d" % job_id})
        except Exception:
            log.exception("job %d: not in the spool; the watchdog looks", job_id)

    def _begin(self) -> None:
        self._watchdog = Watchdog(
            self._settings, self._look, slots=engine_thread.slots(self._settings)
        )

    def _end(self) -> None:
        self._watchdog.close()

    def _look(self) -> None:
        if len(uwsgi.spooler_jobs()) < MOST_FILES:
            self.dispatch(ANY_JOB)


@spoolraw  # type: ignore[untyped-decorator]
def push(arguments: Mapping[str, str]) -> int:
    """In a spooler: done when nothing is to be done for the job now."""
    _be_less_nice()
    try:
        return _work(int(arguments["job"]))
    except Exception:
        log.exception("the spooler tries again")
        return int(uwsgi.SPOOL_RETRY)


def _work(job_id: int) -> int:
    engine = engine_thread.shared(_settings())
    if job_id == ANY_JOB:
        engine.wake()
        return int(uwsgi.SPOOL_OK)
    if not engine.work(job_id):
        return int(uwsgi.SPOOL_RETRY)
    with _store().read() as session:
        due_at = job_status.next_time(session, job_id)
    if due_at is not None:
        # Put off, or to be tried again: a file that waits for its time.
        push({b"job": b"%d" % job_id, b"at": b"%d" % (due_at.timestamp() + 1)})
    return int(uwsgi.SPOOL_OK)


@cache
def _be_less_nice() -> None:
    """Undo uWSGI's 19, with which nothing is pushed where others keep the cores busy.

    Before this process has threads: they take over the niceness of who starts them.
    """
    nice = os.getpriority(os.PRIO_PROCESS, os.getppid()) + NICE
    # Only root may, and who has been given RLIMIT_NICE.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(nice, 19))


@cache
def _settings() -> Settings:
    # A spooler under --lazy-apps has no application that could tell it.
    return config.from_env()


@cache
def _store() -> Datastore:
    return Datastore(_settings().database_url)


create = UwsgiSpoolerDispatcher
