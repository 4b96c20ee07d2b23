"""The worker of `celery`: a warm engine in each of its processes."""

import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import billiard
from celery import signals
from celery.apps.worker import Worker
from celery.platforms import EX_FAILURE
from celery.worker import state
from kombu.transport.redis import Channel, QoS

from config import Settings
from notifier.dispatchers.celery_queue import TASK, application
from notifier.engine import is_job_id
from notifier.process import (
    engine_thread,
    interpreter,
    preload,  # noqa: F401 - once, before Celery forks its processes
)

log = logging.getLogger(__name__)

STOP_S = 8.0
RESTART_S = 1.0
# A Celery that is stopped while its broker is down may never end; longer than STOP_S.
EXIT_S = 10.0
# With these features on, a worker that is busy when Redis goes down would exit.
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Run Celery's own command line, by default `worker`; returns its exit status."""
    celery = application(settings)

    @celery.task(name=TASK)  # type: ignore[untyped-decorator]
    def push(job_id: int) -> None:
        """Done when the job needs no work now; the outbox does the retries."""
        if not is_job_id(job_id):
            log.warning("a task that is not ours was dropped")
            return
        engine = engine_thread.shared(settings)
        if job_id:
            engine.work(job_id)
        else:
            engine.wake()

    def begin(**_: Any) -> None:
        # In the child: connections opened before the fork would be shared by all.
        engine_thread.shared(settings).wake()

    def end(**_: Any) -> None:
        engine_thread.shared(settings).stop(STOP_S)

    # The log is ours. Celery would give all loggers its own format.
    signals.setup_logging.connect(_keep_log, weak=False)
    logging.getLogger("celery").setLevel(logging.WARNING)
    signals.worker_process_init.connect(begin, weak=False)
    signals.worker_process_shutdown.connect(end, weak=False)
    signals.worker_shutting_down.connect(_exit_later, weak=False)
    command, *options = list(arguments) or ["worker", "--loglevel", "WARNING"]
    if command == "worker":
        options += QUIET
        Channel.QoS = _TolerantQoS
        CeleryWorker.arguments = arguments
        celery.Worker = celery.subclass_with_self(CeleryWorker)
    status: int | None = celery.start([command, *options])
    return status or 0


class CeleryWorker(Worker):  # type: ignore[misc]
    """Restarts where Celery gives up, because its own shutdown may then never end."""

    # Those of the command, which it is restarted with.
    arguments: Sequence[str] = ()

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        if exitcode == EX_FAILURE and not _is_stopping():
            _restart(self.arguments)
        super().stop(in_sighandler, exitcode)


def _restart(arguments: Sequence[str]) -> None:
    log.error("Celery gave up; restarting it")
    _kill_children()
    time.sleep(RESTART_S)
    command = interpreter.command("worker", "celery", *arguments)
    os.execv(command[0], command)  # noqa: S606 - our own command


def _keep_log(**_: Any) -> None:
    """A receiver of this signal is all it takes."""


def _exit_later(**_: Any) -> None:
    threading.Thread(target=_force_exit, name="exit", daemon=True).start()


def _force_exit() -> None:
    """Exit as soon as this worker has no task, whatever Celery waits for."""
    time.sleep(EXIT_S)
    while state.active_requests:
        time.sleep(1)
    log.warning("Celery does not end; exiting")
    _kill_children()
    os._exit(0)


def _kill_children() -> None:
    """Kill the processes; a watchdog's next check makes their jobs due again."""
    for child in billiard.active_children():
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


class _TolerantQoS(QoS):  # type: ignore[misc]
    """Ignores acknowledgements without a Redis; kombu's class would end the worker.

    Such a task is delivered again after the visibility timeout, if it still exists.
    """

    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        if self._has_redis():
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if self._has_redis():
            super().reject(delivery_tag, requeue)

    def _has_redis(self) -> bool:
        connection = self.channel.connection
        return connection is not None and connection.client is not None


def _is_stopping() -> bool:
    return (state.should_stop, state.should_terminate) != (None, None)
