"""A rate limit that keeps to a provider's quota and starts slowly."""

import asyncio
import time
from collections.abc import Callable

# Google asks senders to raise their rate from zero over at least a minute.
RAMP_S = 60.0
# Enough for a small conversation to pass at once.
BURST = 1000.0
# The rate at the start of a ramp, as a share of the full one.
START_SHARE = 0.1
MIN_PAUSE_S = 0.001
# After this idle time, the ramp starts again.
IDLE_RESET_S = 300.0


class Quota:
    """A token bucket whose fill rate rises to `per_s` over a minute.

    One per quota and process, used on one event loop. Waiters are served in order.
    """

    def __init__(
        self, per_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._clock = clock
        self._permits = min(BURST, per_s)
        self._began_at = self._filled_at = clock()
        self._lock = asyncio.Lock()

    async def take(self, count: int) -> None:
        """Wait until `count` pushes may be sent."""
        async with self._lock:
            while True:
                pause_s = self.try_take(count)
                if not pause_s:
                    return
                await asyncio.sleep(pause_s)

    def try_take(self, count: int) -> float:
        """Take the permits and return 0, or return the seconds until the next attempt.

        More permits than the bucket holds are granted when it is full, as a debt: the
        next pushes wait longer.
        """
        now = self._clock()
        self._fill(now)
        needed = min(float(count), self._size())
        if self._permits >= needed:
            self._permits -= count
            return 0.0
        return max((needed - self._permits) / self._rate(now), MIN_PAUSE_S)

    def _fill(self, now: float) -> None:
        if now - self._filled_at > IDLE_RESET_S:
            self._began_at = now
            self._permits = self._size()
        grown = (now - self._filled_at) * self._rate(now)
        self._permits = min(self._permits + grown, self._size())
        self._filled_at = now

    def _size(self) -> float:
        return min(BURST, self._per_s)

    def _rate(self, now: float) -> float:
        risen = min((now - self._began_at) / RAMP_S, 1.0)
        return self._per_s * (START_SHARE + (1.0 - START_SHARE) * risen)
