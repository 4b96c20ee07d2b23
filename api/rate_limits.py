"""Rate limits, counted in this process."""

import math
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from models.errors import TooMany

TOO_MANY = "Too many requests; wait as long as Retry-After says."
# Above this number idle keys are removed, so that an attack cannot fill the memory.
MAX_KEYS = 20_000
# A burst may use the allowance of this many seconds at once.
BURST_S = 10.0
# A sum of seconds is not exact: a full burst must not be refused for that.
ROUNDING_S = 1e-6


class RateLimit:
    """A leaky bucket per key, with a rate per minute and bursts of ten seconds' worth.

    It stores one number per key: the time at which the bucket will be empty again.
    """

    def __init__(
        self,
        per_minute: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        burst_s: float = BURST_S,
    ) -> None:
        self._interval_s = 60 / per_minute if per_minute else 0.0
        self._burst_s = burst_s
        self._clock = clock
        self._empty_at: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    @property
    def is_limiting(self) -> bool:
        return bool(self._interval_s)

    def take(self, key: Hashable, count: int = 1) -> None:
        """Count events, all or none; raises TooMany above the rate.

        More than a burst at once never succeeds. A rate of 0 is no limit.
        """
        if not self._interval_s:
            return
        with self._lock:
            now = self._clock()
            self._empty_at[key] = self._empty_after(key, now, count)
            if len(self._empty_at) > MAX_KEYS:
                self._remove_idle(now)

    def check(self, key: Hashable) -> None:
        """Raises TooMany if one more event were above the rate, and counts nothing."""
        if self._interval_s:
            with self._lock:
                self._empty_after(key, self._clock(), 1)

    def _empty_after(self, key: Hashable, now: float, count: int) -> float:
        """When the bucket is empty after these events; raises TooMany."""
        empty_at = max(self._empty_at.get(key, now), now) + self._interval_s * count
        wait_s = empty_at - now - max(self._burst_s, self._interval_s)
        if wait_s > ROUNDING_S:
            raise TooMany(TOO_MANY, retry_after_s=math.ceil(wait_s))
        return empty_at

    def _remove_idle(self, now: float) -> None:
        """Remove the keys whose buckets are empty."""
        self._empty_at = {k: t for k, t in self._empty_at.items() if t > now}


@dataclass(frozen=True)
class Limits:
    """Rate limits for messages, per sender and per conversation."""

    user: RateLimit
    chat: RateLimit


def per_minute(
    *, user: int = 0, chat: int = 0, clock: Callable[[], float] = time.monotonic
) -> Limits:
    return Limits(RateLimit(user, clock), RateLimit(chat, clock))
