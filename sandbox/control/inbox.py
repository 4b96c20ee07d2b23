"""The pushes that have arrived: the newest in full, all of them counted."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar, cast

from sandbox.control.journal import Journal
from sandbox.control.push import Push

# What is kept in full; older pushes are only counted.
KEPT = 200_000
# Bodies and headers seen lately, so that a fan-out keeps one copy of them.
SHARED = 512


T = TypeVar("T")


class Inbox:
    """Accepted and refused pushes, in order of arrival."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.accepted = 0
        self.refused = 0
        # Pushes that a phone would have shown twice, but for their mark.
        self.duplicates = 0
        # Accepted pushes by token and mark.
        self.seen: Counter[str] = Counter()
        self._pushes: deque[Push] = deque(maxlen=KEPT)
        self.last_seq = 0
        self._shared: dict[object, object] = {}
        self._journal = journal
        self._news = asyncio.Event()
        if journal is not None:
            for push in journal.earlier():
                self.last_seq = max(self.last_seq, push.seq)
                headers, body = self.share(push.headers), self.share(push.body)
                self._count(push._replace(headers=headers, body=body))

    def next_seq(self) -> int:
        """The number of the push that is kept next."""
        self.last_seq += 1
        return self.last_seq

    def keep(self, push: Push) -> None:
        """Keep a push; an accepted one is on record before its answer leaves."""
        self._count(push)
        if self._journal is not None and push.reason is None:
            self._journal.add(push)

    def settle(self) -> None:
        """Called before answers leave: the journal first, then those who wait."""
        if self._journal is not None:
            self._journal.write()
        self._news.set()

    async def wait_past(self, seq: int, timeout_s: float) -> None:
        """Until a push later than `seq` is there, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while self.last_seq <= seq and (left := deadline - time.monotonic()) > 0:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                return

    def pushes(self, wanted: Callable[[Push], bool], after: int = 0) -> Iterator[Push]:
        """The pushes kept that came after that number and are wanted."""
        # Counting back is enough to find where to begin; a journal may have gaps.
        back = min(self.last_seq - after, len(self._pushes))
        newest = tuple(islice(reversed(self._pushes), max(back, 0)))
        return (one for one in reversed(newest) if one.seq > after and wanted(one))

    def by_token(self) -> dict[str, int]:
        """How many accepted pushes each token has had."""
        totals: Counter[str] = Counter()
        for key, count in self.seen.items():
            totals[key.partition("\0")[0]] += count
        return totals

    def clear(self) -> None:
        """Forget everything but the numbering, which pages rely on."""
        self.accepted = self.refused = self.duplicates = 0
        self.seen.clear()
        self._pushes.clear()
        self._shared.clear()
        if self._journal is not None:
            self._journal.clear()

    def _count(self, push: Push) -> None:
        self._pushes.append(push)
        if push.reason is not None:
            self.refused += 1
            return
        self.accepted += 1
        key = f"{push.token}\0{push.mark or ''}"
        before = self.seen.get(key, 0)
        self.seen[key] = before + 1
        if before and push.mark is not None:
            self.duplicates += 1

    def share(self, value: T) -> T:
        """An equal object seen lately instead of one more."""
        found = self._shared.get(value)
        if found is None:
            if len(self._shared) >= SHARED:
                self._shared.clear()
            self._shared[value] = found = value
        return cast(T, found)
