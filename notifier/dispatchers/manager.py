"""Dispatcher `manager`: wake-ups go to a BaseManager server, on this host or another.

`python -m notifier manager start` starts that server.
"""

from collections.abc import Sequence
from typing import Any

from config import Settings
from notifier.dispatchers.manager_wire import PushManager, address, authkey
from notifier.process.wake_sender import WakeSender


def create(settings: Settings) -> WakeSender:
    authkey(settings)
    return WakeSender(settings, ManagerLink)


class ManagerLink:
    """A connection to the manager, kept until an error."""

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
