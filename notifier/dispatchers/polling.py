"""Dispatcher `polling`: always-on workers watch the outbox; the news only hurries them.

They are `python -m notifier polling`, any number of them on any number of hosts.
"""

from collections.abc import Sequence
from functools import partial

from config import Settings
from datastore import Datastore, listen
from notifier.process import engine_thread
from notifier.process.wake_sender import WakeSender


def create(settings: Settings) -> WakeSender:
    return WakeSender(
        settings, partial(WorkerLink, settings), slots=engine_thread.slots(settings)
    )


class WorkerLink:
    """Rings for a worker on this host by datagram, and on others by PostgreSQL."""

    def __init__(self, settings: Settings) -> None:
        self._slots = engine_thread.slots(settings)
        self._store = Datastore(settings.database_url)

    def send(self, job_ids: Sequence[int]) -> None:
        self._slots.wake()
        if listen.is_possible(self._store):
            with self._store.write() as session:
                listen.ring(session)

    def close(self) -> None:
        self._slots.close()
        self._store.close()
