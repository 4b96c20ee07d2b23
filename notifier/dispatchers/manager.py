"""Dispatcher `manager`: wake-ups go to a BaseManager server, on this host or another.

`bottlepost worker manager start` starts that server.
"""

import logging
from collections.abc import Sequence
from multiprocessing.managers import RemoteError
from typing import Any

from config import Settings
from notifier.dispatchers.manager_wire import (
    PushManager,
    address,
    authkey,
    fingerprints,
)
from notifier.process.wake_sender import WakeSender

log = logging.getLogger(__name__)


def create(settings: Settings) -> WakeSender:
    authkey(settings)
    # At the start, so that different settings are reported before the first message.
    return WakeSender(settings, ManagerLink, opens_at_start=True)


class ManagerLink:
    """A connection to the manager, kept until an error."""

    def __init__(self, settings: Settings, _number: int = 0) -> None:
        manager: Any = PushManager(
            address(settings), authkey(settings), serializer="json"
        )
        manager.connect()
        self._proxy = manager.bell()
        _compare(settings, self._proxy)

    def send(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            self._proxy.ring(job_id)

    def close(self) -> None:
        # The last reference: the proxy then closes its thread's connection.
        del self._proxy


def _compare(settings: Settings, proxy: Any) -> None:
    """Log which settings the manager has not in common with us: it is the one to push.

    It keeps those of its own start, whatever the web workers are started with.
    """
    ours = fingerprints(settings)
    try:
        theirs = proxy.fingerprints()
        different = [_name(each) for each in ours if ours[each] != theirs.get(each)]
    except (AttributeError, RemoteError):
        different = ["its version is older"]
    if different:
        log.warning(
            "the manager at %s pushes with settings of its own, which differ from ours:"
            " %s; restart it: bottlepost worker manager restart",
            settings.manager_address,
            ", ".join(different),
        )


def _name(setting: str) -> str:
    return "the code" if setting == "code" else f"BOTTLEPOST_{setting.upper()}"
