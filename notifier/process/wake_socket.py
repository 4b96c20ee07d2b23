"""The receiving end of a slot: datagrams become the engine's wake-ups."""

import asyncio
import socket
from typing import Protocol

from notifier.engine import ANY_JOB
from notifier.process.slots import LONGEST_WAKE_UP, job_of

# A full engine is asked again after this whether it has room.
CHECK_S = 0.02
# A flood of datagrams must not block the event loop.
MAX_READS = 64
# A queue of this length may have been full (net.unix.max_dgram_qlen), and then the
# wake-ups for other jobs did not reach us.
FULL_QUEUE = 10


class Wakeable(Protocol):
    """The part of an engine that a wake socket needs."""

    @property
    def has_room(self) -> bool: ...

    def expect(self, job_id: int) -> None: ...


class WakeSocket:
    """Reads wake-ups only while the engine has room for more jobs.

    Otherwise they stay in the socket's short queue (net.unix.max_dgram_qlen); when it
    is full, senders turn to the next process.
    """

    def __init__(self, sock: socket.socket, engine: Wakeable, wake: asyncio.Event):
        self._socket = sock
        self._engine = engine
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._on_readable)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._timer is not None:
            self._timer.cancel()

    def _on_readable(self) -> None:
        if not self._engine.has_room:
            self._loop.remove_reader(self._socket)
            self._timer = self._loop.call_later(CHECK_S, self._resume)
            return
        try:
            for read in range(MAX_READS):
                if read == FULL_QUEUE:
                    self._engine.expect(ANY_JOB)
                wake_up = self._socket.recv(LONGEST_WAKE_UP)
                self._engine.expect(job_of(wake_up))
        except BlockingIOError:
            pass
        # After reading: this look covers senders that found the queue full until now.
        self._wake.set()

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._socket, self._on_readable)
