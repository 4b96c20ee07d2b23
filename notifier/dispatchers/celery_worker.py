"""The worker of `celery`: a warm engine in each of its processes."""

import logging
import os
import signal
import sys
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
from notifier.process import (
    engine_thread,
    preload,  # noqa: F401 - once, before Celery forks its processes
)

log = logging.getLogger(__name__)

STOP_S = 8.0
RESTART_S = 1.0
# Told to end while its broker is away, Celery may wait for ever; longer than STOP_S.
LEAVE_S = 10.0
# With the chatter of workers among themselves, a worker does not survive that Redis
# goes away.
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Celery's own command line, `worker` unless told otherwise; its exit status.

    A worker that Redis leaves at a bad moment ends by itself: nobody would push.
    """
    celery = application(settings)

    @celery.task(name=TASK)  # type: ignore[untyped-decorator]
    def push(job_id: int) -> None:
        """Done when nothing is to be done for the job now; retries are the outbox's."""
        engine = engine_thread.shared(settings)
        if job_id:
            engine.work(job_id)
        else:
            engine.wake()

    def begin(**_: Any) -> None:
        # In the child: what is opened before prefork's fork would be shared by all.
        engine_thread.shared(settings).wake()

    def end(**_: Any) -> None:
        engine_thread.shared(settings).stop(STOP_S)

    signals.worker_process_init.connect(begin, weak=False)
    signals.worker_process_shutdown.connect(end, weak=False)
    signals.worker_shutting_down.connect(_leave_later, weak=False)
    command, *options = list(arguments) or ["worker", "--loglevel", "WARNING"]
    if command == "worker":
        options += QUIET
        Channel.QoS = _Deliveries
        celery.Worker = celery.subclass_with_self(_Worker)
    status: int | None = celery.start([command, *options])
    return status or 0


class _Worker(Worker):  # type: ignore[misc]
    """Begins anew where Celery gives up: its own end may wait for ever then."""

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        if exitcode == EX_FAILURE and not _was_told_to_end():
            _begin_anew()
        super().stop(in_sighandler, exitcode)


def _begin_anew() -> None:
    log.error("Celery gave up; it is begun anew")
    _end_children()
    time.sleep(RESTART_S)
    command = [sys.executable, "-m", "notifier", *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606 - ourselves


def _leave_later(**_: Any) -> None:
    threading.Thread(target=_leave, name="leave", daemon=True).start()


def _leave() -> None:
    """End this worker as soon as it has no task, whatever it is waiting for."""
    time.sleep(LEAVE_S)
    while state.active_requests:
        time.sleep(1)
    log.warning("Celery does not end; it is left")
    _end_children()
    os._exit(0)


def _end_children() -> None:
    """Their jobs are due again at the next look of a watchdog."""
    for child in billiard.active_children():
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


class _Deliveries(QoS):  # type: ignore[misc]
    """Keeps quiet about tasks whose Redis went away; kombu's would end the worker.

    Such a task is given out again after the visibility timeout, if it is still there.
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


def _was_told_to_end() -> bool:
    return (state.should_stop, state.should_terminate) != (None, None)
