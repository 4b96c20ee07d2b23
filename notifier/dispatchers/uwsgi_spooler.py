"""Dispatcher `uwsgi_spooler`: a wake-up is a file, and uWSGI's spoolers do the work.

uWSGI runs them beside its workers: --spooler DIR --spooler-processes N. Under
--lazy-apps they also need --spooler-import notifier.dispatchers.uwsgi_spooler.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

import config
from config import CPU_ANSWERS, Settings
from datastore import Datastore
from datastore.outbox import job_status
from notifier.dispatchers import uwsgi_host
from notifier.engine import ANY_JOB, is_job_id
from notifier.process import (
    engine_thread,
    generation,
    preload,  # noqa: F401 - once, before uWSGI forks its spoolers
)
from notifier.process.per_process import PerProcess
from notifier.process.push_process import NICE
from notifier.process.slots import worker_slots
from notifier.process.watchdog import Watchdog

uwsgi_host.require("uwsgi_spooler", "spooler")

import uwsgi  # noqa: E402 - only after the check
from uwsgidecorators import spoolraw  # noqa: E402

log = logging.getLogger(__name__)

# If the spoolers fall behind this far, the watchdog adds no more files.
MAX_FILES = 100


class UwsgiSpoolerDispatcher(PerProcess):
    """Writes a file into the spool; it survives a restart of uWSGI, as the job does."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)

    def _on_start(self) -> None:
        slots = worker_slots(self._settings)
        self._watchdog = Watchdog(self._settings, self._on_due, slots=slots)

    def _on_close(self) -> None:
        self._watchdog.close()

    def _wake(self, job_id: int) -> None:
        push({b"job": b"%d" % job_id})

    def _on_due(self) -> None:
        if len(uwsgi.spooler_jobs()) < MAX_FILES:
            self.dispatch(ANY_JOB)


@spoolraw  # type: ignore[untyped-decorator]
def push(arguments: Mapping[str, str]) -> int:
    """Runs in a spooler; done when the job needs no work now."""
    _raise_priority()
    job = arguments.get("job", "")
    if not (job.isdecimal() and is_job_id(int(job))):
        log.warning("a file in the spool that is not ours was dropped")
        return int(uwsgi.SPOOL_OK)
    try:
        return _work(int(job))
    except Exception:
        log.exception("the spooler will retry")
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
        # The job is delayed, or will be retried: a file that waits for its due time.
        push({b"job": b"%d" % job_id, b"at": b"%d" % (due_at.timestamp() + 1)})
    return int(uwsgi.SPOOL_OK)


@cache
def _raise_priority() -> None:
    """Undo uWSGI's nice 19, with which nothing is pushed while other work is running.

    Call it before this process has threads, because they inherit its priority.
    """
    nice = os.getpriority(os.PRIO_PROCESS, os.getppid())
    if _settings().cpu_first == CPU_ANSWERS:
        nice += NICE
    # Only root may do this, and users with RLIMIT_NICE.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(nice, 19))


@cache
def _settings() -> Settings:
    # A spooler under --lazy-apps has no application to get them from.
    settings = config.from_env()
    print(f"bottlepost spooler: {generation.describe(settings)}", flush=True)
    return settings


@cache
def _store() -> Datastore:
    return Datastore.of(_settings())


create = UwsgiSpoolerDispatcher
