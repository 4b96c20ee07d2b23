"""Dispatcher `polling`: always-on workers watch the outbox; wake-ups make them faster.

The workers are `bottlepost worker polling`, any number of them on any number of hosts.
"""

from collections.abc import Sequence

from config import Settings
from datastore import Datastore, listen
from notifier.engine import ANY_JOB
from notifier.process.slots import worker_slots
from notifier.process.wake_sender import WakeSender


def create(settings: Settings) -> WakeSender:
    return WakeSender(settings, PollingLink)


class PollingLink:
    """Wakes a worker on this host by datagram, all others by PostgreSQL's NOTIFY."""

    def __init__(self, settings: Settings, _number: int = 0) -> None:
        self._slots = worker_slots(settings)
        self._store = Datastore.of(settings)

    def send(self, job_ids: Sequence[int]) -> None:
        self._slots.wake(job_ids[0] if len(job_ids) == 1 else ANY_JOB)
        if listen.is_possible(self._store):
            with self._store.write() as session:
                listen.ring(session)

    def close(self) -> None:
        self._slots.close()
        self._store.close()
