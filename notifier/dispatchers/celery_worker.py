"""The worker of `celery`: a warm engine in each of its processes."""

from collections.abc import Sequence
from typing import Any

from celery import signals
from kombu.transport.redis import QoS

from config import Settings
from notifier.dispatchers import warm
from notifier.dispatchers.celery_queue import TASK, application

STOP_S = 8.0


def run(settings: Settings, arguments: Sequence[str]) -> None:
    """Celery's own command line, `worker` unless told otherwise."""
    celery = application(settings)

    @celery.task(name=TASK)  # type: ignore[untyped-decorator]
    def push(job_id: int) -> None:
        """Done when nothing is to be done for the job now; retries are the outbox's."""
        engine = warm.here(settings)
        if job_id:
            engine.work(job_id)
        else:
            engine.wake()

    def begin(**_: Any) -> None:
        # In the child: what is opened before prefork's fork would be shared by all.
        warm.here(settings).wake()

    def end(**_: Any) -> None:
        warm.here(settings).stop(STOP_S)

    signals.worker_process_init.connect(begin, weak=False)
    signals.worker_process_shutdown.connect(end, weak=False)
    command, *options = list(arguments) or ["worker", "--loglevel", "WARNING"]
    if command == "worker":
        # With the chatter of workers among themselves, and with the restoring of what
        # is unfinished, a worker does not survive that Redis goes away.
        options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        QoS.restore_at_shutdown = False
    celery.start([command, *options])
