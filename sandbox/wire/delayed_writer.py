"""Writing to a connection with the latency of a distant server."""

import asyncio
from collections import deque
from collections.abc import Callable


class DelayedWriter:
    """Writes pieces in order, each after the latency that was in force when it came.

    A piece never overtakes an earlier one when the latency falls. Pieces wait side by
    side, so latency does not lower the throughput.
    """

    def __init__(
        self, transport: asyncio.Transport, latency_s: Callable[[], float]
    ) -> None:
        self._transport = transport
        self._latency_s = latency_s
        self._loop = asyncio.get_running_loop()
        # Delayed pieces with the time they are due; an empty piece closes.
        self._delayed: deque[tuple[float, bytes]] = deque()

    def write(self, piece: bytes) -> None:
        latency_s = self._latency_s()
        if not latency_s and not self._delayed:
            self._transport.write(piece)
            return
        self._delay(piece, latency_s)

    def close(self) -> None:
        """Close the connection after all delayed pieces."""
        if self._delayed:
            self._delay(b"", self._latency_s())
        else:
            self._transport.close()

    def _delay(self, piece: bytes, latency_s: float) -> None:
        due_at = self._loop.time() + latency_s
        if self._delayed:
            due_at = max(due_at, self._delayed[-1][0])
        else:
            self._loop.call_at(due_at, self._write_due)
        self._delayed.append((due_at, piece))

    def _write_due(self) -> None:
        now = self._loop.time()
        while self._delayed and self._delayed[0][0] <= now:
            piece = self._delayed.popleft()[1]
            if piece:
                self._transport.write(piece)
            else:
                self._transport.close()
        if self._delayed:
            self._loop.call_at(self._delayed[0][0], self._write_due)
