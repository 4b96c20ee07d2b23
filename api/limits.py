"""How often somebody may do something, counted in this process."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from models.errors import TooMany

# Old entries are thrown out when there are so many: an attack must not fill memory.
MOST_KEYS = 20_000
# So many seconds' worth may come at once.
BURST_S = 10.0


class Limit:
    """A leaky bucket per key: so many a minute, in bursts of ten seconds' worth.

    One number per key is kept, the moment at which its bucket will be empty again.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause_s = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._empty_at: dict[int, float] = {}
        self._lock = threading.Lock()

    def take(self, key: int) -> None:
        """Raises TooMany when the key has had its share; 0 a minute is no limit."""
        if not self._pause_s:
            return
        now = self._clock()
        with self._lock:
            empty_at = max(self._empty_at.get(key, now), now) + self._pause_s
            wait_s = empty_at - now - max(BURST_S, self._pause_s)
            if wait_s > 0:
                raise TooMany(retry_after_s=math.ceil(wait_s))
            self._empty_at[key] = empty_at
            if len(self._empty_at) > MOST_KEYS:
                self._forget(now)

    def _forget(self, now: float) -> None:
        """Keep those who are waiting for something."""
        self._empty_at = {k: t for k, t in self._empty_at.items() if t > now}


@dataclass(frozen=True)
class Limits:
    """Messages, by who writes and by where."""

    of_user: Limit
    of_chat: Limit


def per_minute(
    *, user: int = 0, chat: int = 0, clock: Callable[[], float] = time.monotonic
) -> Limits:
    return Limits(Limit(user, clock), Limit(chat, clock))
