"""Keeping to a provider's quota, and starting slowly as it asks for."""

import asyncio
import time
from collections.abc import Callable

# Google asks senders to come up from nothing over at least a minute.
RAMP_S = 60.0
# What a small conversation needs passes at once.
BURST = 1000.0
# The rate that a ramp begins with, as a part of the full one.
FIRST_PART = 0.1
SHORTEST_PAUSE_S = 0.001
# After so long without traffic the next one is a new beginning.
FORGET_S = 300.0


class Quota:
    """A bucket of permits that fills at a rate rising to `per_s` over a minute.

    One per quota and process; used on one event loop. Waiters are served in order.
    """

    def __init__(
        self, per_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._clock = clock
        self._permits = min(BURST, per_s)
        self._began_at = self._filled_at = clock()
        self._turn = asyncio.Lock()

    async def take(self, count: int) -> None:
        """Wait until so many pushes may leave."""
        async with self._turn:
            while True:
                pause_s = self.try_take(count)
                if not pause_s:
                    return
                await asyncio.sleep(pause_s)

    def try_take(self, count: int) -> float:
        """Take the permits and return 0, or the seconds until it is worth asking.

        More than the bucket holds is let through when it is full and owed for: the
        next ones wait the longer.
        """
        now = self._clock()
        self._fill(now)
        needed = min(float(count), self._size())
        if self._permits >= needed:
            self._permits -= count
            return 0.0
        return max((needed - self._permits) / self._rate(now), SHORTEST_PAUSE_S)

    def _fill(self, now: float) -> None:
        if now - self._filled_at > FORGET_S:
            self._began_at = now
            self._permits = self._size()
        grown = (now - self._filled_at) * self._rate(now)
        self._permits = min(self._permits + grown, self._size())
        self._filled_at = now

    def _size(self) -> float:
        return min(BURST, self._per_s)

    def _rate(self, now: float) -> float:
        risen = min((now - self._began_at) / RAMP_S, 1.0)
        return self._per_s * (FIRST_PART + (1.0 - FIRST_PART) * risen)
