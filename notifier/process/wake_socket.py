"""The receiving end of a slot: datagrams become the engine's wake-ups."""

import asyncio
import socket
from typing import Protocol

# How soon an engine that was full is asked again whether it has room.
LOOK_AGAIN_S = 0.02
# A flood must not keep the loop from working.
MOST_AT_ONCE = 64


class HasRoom(Protocol):
    """The one thing a bell needs to know of its engine."""

    @property
    def has_room(self) -> bool: ...


class WakeSocket:
    """Reads news only while the engine has room for more jobs.

    Otherwise it is left in the socket's queue, a short one (net.unix.max_dgram_qlen):
    when that is full, senders turn to the next process.
    """

    def __init__(self, sock: socket.socket, engine: HasRoom, wake: asyncio.Event):
        self._socket = sock
        self._engine = engine
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._on_wake_up)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._later is not None:
            self._later.cancel()

    def _on_wake_up(self) -> None:
        if not self._engine.has_room:
            self._loop.remove_reader(self._socket)
            self._later = self._loop.call_later(LOOK_AGAIN_S, self._look_again)
            return
        try:
            for _ in range(MOST_AT_ONCE):
                self._socket.recv(16)
        except BlockingIOError:
            pass
        # After reading: whoever found the queue full until now is seen by that look.
        self._wake.set()

    def _look_again(self) -> None:
        self._later = None
        self._loop.add_reader(self._socket, self._on_wake_up)
