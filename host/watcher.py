"""Ends the connections of clients that do not take their answers.

Such a client costs a place among the connections, and memory for its answers, and the
web server would wait for it for ever.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from host.answers import Answers
from host.sockets import Connection, Sockets

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a client may take."""

    # Nothing of its answers.
    silent_s: float = 10.0
    # Less than so many bytes a second, for so long.
    bytes_per_s: float = 1024.0
    slow_s: float = 30.0

    @property
    def look_every_s(self) -> float:
        return min(1.0, self.silent_s / 4)


class Watcher:
    """Looks at the connections of this process, from a thread of its own."""

    def __init__(
        self,
        answers: Answers,
        *,
        most: int,
        patience: Patience,
        is_busy: Callable[[str], bool],
        is_proxy: Callable[[str], bool],
    ) -> None:
        self._answers = answers
        self._most = most
        self._patience = patience
        self._is_busy = is_busy
        self._is_proxy = is_proxy
        self._sockets = Sockets()
        self._looking = threading.Lock()

    def start(self) -> None:
        """Begin, once the web server listens."""
        if self._sockets.listen():
            self._answers.look = self._look
            threading.Thread(target=self._run, name="watcher", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self._patience.look_every_s)
            try:
                self._look()
            except Exception:
                log.exception("the connections could not be looked at")

    def _look(self) -> None:
        with self._looking:
            now = time.monotonic()
            connections = self._sockets.look(now)
            behind = [each for each in connections if self._is_behind(each, now)]
            self._answers.settle(each.name for each in behind)
            self._make_room(connections)

    def _is_behind(self, each: Connection, now: float) -> bool:
        """Whether the client has to take something; drops it if it takes too long."""
        if not each.queued():
            each.is_behind = False
            return False
        acked = each.confirmed()
        if not each.is_behind:
            each.is_behind = True
            each.slow_since, each.acked_then = now, acked
            each.silent_since, each.acked = now, acked
        if acked != each.acked:
            each.silent_since, each.acked = now, acked
        patience = self._patience
        is_slow = False
        if (waited_s := now - each.slow_since) >= patience.slow_s:
            is_slow = acked - each.acked_then < patience.bytes_per_s * waited_s
            each.slow_since, each.acked_then = now, acked
        if is_slow or now - each.silent_since >= patience.silent_s:
            each.drop()
        return True

    def _make_room(self, connections: Collection[Connection]) -> None:
        """Before new connections have to wait, end idle ones.

        Of the address that has the most; a proxy speaks for many clients.
        """
        if len(connections) < self._most - self._most // 16:
            return
        held = Counter(each.address for each in connections)
        # Idle ones by address. The last go first: the oldest that took everything.
        idle: dict[str, list[Connection]] = {}
        for each in sorted(connections, key=lambda e: (not e.is_behind, -e.seen_at)):
            if not self._is_busy(each.name) and not self._is_proxy(each.address):
                idle.setdefault(each.address, []).append(each)
        for _ in range(len(connections) - self._most * 3 // 4):
            if not idle:
                return
            address = max(idle, key=lambda address: held[address])
            self._end(idle[address].pop())
            held[address] -= 1
            if not idle[address]:
                del idle[address]

    @staticmethod
    def _end(each: Connection) -> None:
        """An answer that is not taken would stay in the kernel for minutes."""
        if each.is_behind:
            each.drop()
        else:
            each.end()
