"""The pushes that have arrived; the newest are kept in full, all are counted."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar, cast

from sandbox.control.journal import Journal
from sandbox.control.push import Push

# Pushes kept in full; older ones are only counted.
KEPT = 200_000
# Recent bodies and headers, so that a fan-out keeps one copy of them.
INTERNED = 512


T = TypeVar("T")


class Inbox:
    """Accepted and refused pushes, in order of arrival."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.accepted = 0
        self.refused = 0
        # Accepted pushes that replace an earlier one on the phone.
        self.duplicates = 0
        # Accepted pushes by token and collapse id.
        self.seen: Counter[str] = Counter()
        self._pushes: deque[Push] = deque(maxlen=KEPT)
        self.last_seq = 0
        self._interned: dict[object, object] = {}
        self._journal = journal
        self._arrived = asyncio.Event()
        if journal is not None:
            for push in journal.earlier():
                self.last_seq = max(self.last_seq, push.seq)
                headers, body = self.intern(push.headers), self.intern(push.body)
                self._count(push._replace(headers=headers, body=body))

    def next_seq(self) -> int:
        """The number of the next push."""
        self.last_seq += 1
        return self.last_seq

    def add(self, push: Push) -> None:
        """Add a push; the journal gets an accepted one with the next `flush`."""
        self._count(push)
        if self._journal is not None and push.reason is None:
            self._journal.add(push)

    def flush(self) -> None:
        """Write the journal, then wake the waiters; runs before responses are sent."""
        if self._journal is not None:
            self._journal.write()
        self._arrived.set()

    async def wait_past(self, seq: int, timeout_s: float) -> None:
        """Wait for a push later than `seq`, or for the timeout."""
        deadline = time.monotonic() + timeout_s
        while self.last_seq <= seq and (left := deadline - time.monotonic()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                return

    def pushes(self, matches: Callable[[Push], bool], after: int = 0) -> Iterator[Push]:
        """The kept pushes with a `seq` above `after` that match."""
        # The last `last_seq - after` pushes are enough; a journal may have gaps.
        back = min(self.last_seq - after, len(self._pushes))
        newest = tuple(islice(reversed(self._pushes), max(back, 0)))
        return (one for one in reversed(newest) if one.seq > after and matches(one))

    def by_token(self) -> dict[str, int]:
        """The number of accepted pushes by token."""
        totals: Counter[str] = Counter()
        for key, count in self.seen.items():
            totals[key.partition("\0")[0]] += count
        return totals

    def clear(self) -> None:
        """Remove all pushes and counts; numbers go on, because clients page by them."""
        self.accepted = self.refused = self.duplicates = 0
        self.seen.clear()
        self._pushes.clear()
        self._interned.clear()
        if self._journal is not None:
            self._journal.clear()

    def _count(self, push: Push) -> None:
        self._pushes.append(push)
        if push.reason is not None:
            self.refused += 1
            return
        self.accepted += 1
        key = f"{push.token}\0{push.collapse_id or ''}"
        before = self.seen.get(key, 0)
        self.seen[key] = before + 1
        if before and push.collapse_id is not None:
            self.duplicates += 1

    def intern(self, value: T) -> T:
        """Return an equal object seen recently, to keep one copy in memory."""
        found = self._interned.get(value)
        if found is None:
            if len(self._interned) >= INTERNED:
                self._interned.clear()
            self._interned[value] = found = value
        return cast(T, found)
