"""When to dial a peer again after failed dials or short connections."""

import asyncio
import random
import time
from collections import deque

from notifier.http2.pooled import Pooled
from notifier.outcome import ChannelDown

_FIRST_S = 0.5
_LONGEST_S = 60.0
# A connection that answered and lived this long resets the backoff.
_STABLE_AFTER_S = 5.0
# A peer that ends an unused connection sooner does not do so because it was idle.
_IDLE_AFTER_S = 1.0

# The rate of new connections after the first burst, beside those that replace others.
_DIALS_PER_S = 1.0


class DialRate:
    """A token bucket that limits dials, even those that no failure delays.

    A connection that has served its share gives its token back, so a peer that limits
    the requests of a connection delays nothing. A peer that ends connections early or
    with refusals would get new ones as fast as it ends them: it gets one a second. The
    size of the bucket also limits how many connections may end at the same time.
    """

    def __init__(self, burst: int) -> None:
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at = 0.0
        # Dials that wait for a token, in their order.
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> None:
        """Count one dial and wait until it may begin."""
        pause_s = self.take(time.monotonic())
        if pause_s:
            given_back: asyncio.Future[None]
            given_back = asyncio.get_running_loop().create_future()
            self._waiting.append(given_back)
            try:
                await asyncio.wait([given_back], timeout=pause_s)
            finally:
                if not given_back.done():
                    self._waiting.remove(given_back)

    def take(self, now: float) -> float:
        """Count one dial and return the seconds to wait before it."""
        refill = (now - self._filled_at) * _DIALS_PER_S
        self._tokens = min(self._tokens + refill, self._burst) - 1
        self._filled_at = now
        return max(-self._tokens / _DIALS_PER_S, 0.0)

    def give_back(self) -> None:
        """A connection has served its share, so its successor is not one more."""
        self._tokens = min(self._tokens + 1, self._burst)
        if self._waiting:
            self._waiting.popleft().set_result(None)


class Backoff:
    """Counts failures in a row; the pause doubles with each, with jitter."""

    def __init__(self) -> None:
        self._failures = 0
        self._retry_at = 0.0
        self._reason = ""

    def failed(self, reason: str, now: float) -> None:
        """A dial failed, or its connection was of no use."""
        if now < self._retry_at:
            # Dials that run and fail together count as one failure.
            return
        self._failures += 1
        self._reason = reason
        pause = min(_FIRST_S * 2 ** min(self._failures - 1, 10), _LONGEST_S)
        self._retry_at = now + pause * random.uniform(0.5, 1.0)

    def connection_ended(self, connection: Pooled, lived_s: float, now: float) -> None:
        """Count a connection as a success or a failure by what it has done."""
        if connection.is_flooded:
            # Its answers do not buy it a new connection at once.
            self.failed(connection.reason, now)
        elif connection.answers and (connection.graceful or lived_s > _STABLE_AFTER_S):
            self._failures = 0
        elif connection.answers and not self._failures:
            # It worked, so the next dial need not wait, but a second short one must.
            self._failures = 1
        elif connection.has_sent or not connection.graceful or lived_s < _IDLE_AFTER_S:
            self.failed(connection.reason, now)

    def down(self, now: float) -> ChannelDown | None:
        """Why no dial is allowed now, and for how long; None if one is."""
        if now >= self._retry_at:
            return None
        return ChannelDown(self._reason, retry_after_s=self._retry_at - now)
