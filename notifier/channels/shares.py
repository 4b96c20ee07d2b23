"""What one member, origin or domain may hold of something that all of them share."""

import time
from collections import Counter, OrderedDict
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import contextmanager

# Seconds for which a key is left alone after it was silent for the 1st, 2nd … time.
REST_LADDER_S = (5.0, 30.0, 180.0, 900.0, 3600.0)
# Keys that are remembered, those that were silent last.
MOST_KEPT = 4096


class Shares:
    """Counts what each key holds."""

    def __init__(self) -> None:
        self._held: Counter[Hashable] = Counter()

    def take(self, limits: Mapping[Hashable, int]) -> bool:
        """Add one to each key; False, and nothing is added, if one has its limit."""
        if any(self._held[key] >= limit for key, limit in limits.items()):
            return False
        self._held.update(limits.keys())
        return True

    def give_back(self, keys: Iterable[Hashable]) -> None:
        for key in keys:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]

    @contextmanager
    def hold(self, limits: Mapping[Hashable, int]) -> Iterator[bool]:
        """Hold one of each key until the end of the block; False if that failed."""
        has_taken = self.take(limits)
        try:
            yield has_taken
        finally:
            if has_taken:
                self.give_back(limits)

    @contextmanager
    def hold_each(
        self, keys: Collection[Hashable], limit: int
    ) -> Iterator[set[Hashable]]:
        """The same for keys that do not depend on each other; those that are held."""
        held = {key for key in keys if self.take({key: limit})}
        try:
            yield held
        finally:
            self.give_back(held)

    def __len__(self) -> int:
        """How many keys hold something."""
        return len(self._held)


class Rests:
    """Remembers who was silent, and leaves them alone for longer and longer."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By key: how often it was silent in a row, and the end of its rest.
        self._silences: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def left_s(self, key: Hashable) -> float:
        """Seconds for which the key is still left alone; 0 if it may be tried."""
        _, until = self._silences.get(key, (0, 0.0))
        return max(until - self._clock(), 0.0)

    def is_suspect(self, key: Hashable) -> bool:
        """Whether it was silent the last time, so that its next try should be short."""
        return key in self._silences

    def silent(self, key: Hashable) -> float:
        """Begin a rest, if none has begun; returns the seconds that are left of it."""
        times, until = self._silences.get(key, (0, 0.0))
        now = self._clock()
        if until <= now:
            # Several tries at a time are one silence.
            pause_s = REST_LADDER_S[min(times, len(REST_LADDER_S) - 1)]
            times, until = times + 1, now + pause_s
            self._silences[key] = times, until
            self._silences.move_to_end(key)
            self._forget_some()
        return until - now

    def _forget_some(self) -> None:
        while len(self._silences) > MOST_KEPT:
            self._silences.popitem(last=False)

    def suspect(self, key: Hashable) -> None:
        """It was slow: its next try should be careful, but may come at once."""
        self._silences.setdefault(key, (0, 0.0))
        self._forget_some()

    def answered(self, key: Hashable) -> None:
        """It has answered in time: nothing is held against it."""
        self._silences.pop(key, None)

    def __len__(self) -> int:
        return len(self._silences)
