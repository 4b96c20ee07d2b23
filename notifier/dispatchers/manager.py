"""Dispatcher `manager`: ids go to a BaseManager server, on this host or another.

It is `python -m notifier manager start`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from config import Settings
from notifier.dispatchers.manager_wire import PushManager, address, authkey
from notifier.process import engine_thread
from notifier.process.wake_sender import WakeSender


def create(settings: Settings) -> WakeSender:
    authkey(settings)
    return WakeSender(
        settings, partial(ManagerLink, settings), slots=engine_thread.slots(settings)
    )


class ManagerLink:
    """A connection to the manager, kept until there is trouble."""

    def __init__(self, settings: Settings) -> None:
        manager: Any = PushManager(
            address(settings), authkey(settings), serializer="json"
        )
        manager.connect()
        self._proxy = manager.bell()

    def send(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            self._proxy.ring(job_id)

    def close(self) -> None:
        # The last reference: the proxy then closes its thread's connection.
        del self._proxy
