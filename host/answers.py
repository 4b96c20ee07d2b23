"""Answers that clients have not taken yet, and the bounds on them."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from host.shares import Bounds, Client, Shares

# Shorter ones do not count: all connections together hold little with them.
LONG = 16 * 1024
MIB = 1024 * 1024
BYTES = Bounds(total=128 * MIB, address=32 * MIB, caller=16 * MIB)
# The web server may not have written a younger answer to its connection yet.
SETTLED_S = 0.1


@dataclass(frozen=True, slots=True)
class _Answer:
    client: Client
    # Of it, and of the one before it on the same connection, which may wait as well.
    size: int
    last: int
    since: float


class Answers:
    """Counts the bytes of long answers from when they are given until they are taken.

    The web server tells neither, so the connections are looked at: an answer is taken
    when nothing is queued there. A connection holds two answers at most, because the
    next request on it begins when the one before has been written.
    """

    def __init__(
        self, bounds: Bounds = BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shares = Shares(bounds)
        self._clock = clock
        self._lock = threading.Lock()
        self._by_connection: dict[str, _Answer] = {}
        # Looks at the connections, and calls `settle`.
        self.look: Callable[[], None] | None = None

    def admit(self, connection: str, client: Client, size: int) -> bool:
        """Count an answer; False if there is no room for it."""
        if size < LONG or self.look is None:
            return True
        if self._take(connection, client, size):
            return True
        self.look()
        return self._take(connection, client, size)

    def settle(self, connections: Iterable[str]) -> None:
        """Forget the answers on all but these connections, which are behind."""
        behind = set(connections)
        latest = self._clock() - SETTLED_S
        with self._lock:
            for connection, answer in list(self._by_connection.items()):
                if connection not in behind and answer.since <= latest:
                    del self._by_connection[connection]
                    self._shares.give_back(answer.client, answer.size)

    def _take(self, connection: str, client: Client, size: int) -> bool:
        with self._lock:
            before = self._by_connection.get(connection)
            last = 0
            if before is not None:
                self._shares.give_back(before.client, before.size)
                last = before.last
            fits = self._shares.fits(client, last + size)
            if fits:
                now = _Answer(client, last + size, size, self._clock())
                self._by_connection[connection] = now
            elif before is not None:
                now = before
            else:
                return False
            self._shares.take(now.client, now.size)
            return fits
