"""The way out of a connection, which may be as long as a real one."""

import asyncio
from collections import deque
from collections.abc import Callable


class Outlet:
    """Writes in order, each piece later by the latency in force when it came.

    Pieces overtake nobody when the latency falls, and none holds the others up: the
    time on the way grows, the throughput stays.
    """

    def __init__(
        self, transport: asyncio.Transport, latency_s: Callable[[], float]
    ) -> None:
        self._transport = transport
        self._latency_s = latency_s
        self._loop = asyncio.get_running_loop()
        # Pieces under way with their time of arrival; an empty piece is the end.
        self._under_way: deque[tuple[float, bytes]] = deque()

    def write(self, piece: bytes) -> None:
        latency_s = self._latency_s()
        if not latency_s and not self._under_way:
            self._transport.write(piece)
            return
        self._send_off(piece, latency_s)

    def close(self) -> None:
        """End the connection behind everything that is under way."""
        if self._under_way:
            self._send_off(b"", self._latency_s())
        else:
            self._transport.close()

    def _send_off(self, piece: bytes, latency_s: float) -> None:
        arrival = self._loop.time() + latency_s
        if self._under_way:
            arrival = max(arrival, self._under_way[-1][0])
        else:
            self._loop.call_at(arrival, self._arrive)
        self._under_way.append((arrival, piece))

    def _arrive(self) -> None:
        now = self._loop.time()
        while self._under_way and self._under_way[0][0] <= now:
            piece = self._under_way.popleft()[1]
            if piece:
                self._transport.write(piece)
            else:
                self._transport.close()
        if self._under_way:
            self._loop.call_at(self._under_way[0][0], self._arrive)
