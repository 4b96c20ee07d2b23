"""The watcher of chaos: from when on a push was always seen as recorded."""

import time
from collections.abc import Iterator

import pytest

from benchmarks.chaos.watcher import AFTER_ALL, NEVER, Place, Watcher
from tests.support.wait import until

MESSAGE = 5
FIRST, LAST = (1, 10), (2, 20)
NOTHING, HALF = (0, 0), (1, 10)


class Outbox:
    """A database with one job, whose state the test sets."""

    def __init__(self) -> None:
        self.rows_now: list[tuple[object, ...]] = []
        self.looks = 0

    def rows(self, _query: str) -> list[tuple[object, ...]]:
        self.looks += 1
        return self.rows_now

    def show(self, cursor: Place | None, *, fanned_out: bool = False) -> float:
        """Returns a time before which a look has seen this; None: the job has ended."""
        row = (MESSAGE, "host:77:abc", *(cursor or NOTHING), fanned_out)
        self.rows_now = [] if cursor is None else [row]
        looks = self.looks
        until(lambda: self.looks >= looks + 3)
        return time.time()


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def watcher(outbox: Outbox) -> Iterator[Watcher]:
    watcher = Watcher(outbox)
    yield watcher
    watcher.stop()


def recorded_by(watcher: Watcher, posted_at: float) -> dict[str, float]:
    places = {"first": FIRST, "last": LAST, "put off": AFTER_ALL}
    return dict(watcher.recorded_by(MESSAGE, places, posted_at))


def test_each_push_is_recorded_when_the_cursor_has_passed_it(
    outbox: Outbox, watcher: Watcher
) -> None:
    posted_at = time.time()
    nothing = outbox.show(NOTHING)
    half = outbox.show(HALF)
    fanned_out = outbox.show(LAST, fanned_out=True)
    ended = outbox.show(None)

    found = recorded_by(watcher, posted_at)

    assert nothing < found["first"] < half
    assert half < found["last"] < fanned_out
    assert fanned_out < found["put off"] < ended
    assert watcher.lease_owners == set()


def test_record_that_was_lost_again_does_not_count(
    outbox: Outbox, watcher: Watcher
) -> None:
    posted_at = time.time()
    outbox.show(LAST)
    lost = outbox.show(NOTHING)
    again = outbox.show(LAST)

    found = recorded_by(watcher, posted_at)

    assert lost < found["first"] < again
    assert watcher.lease_owners == {77}


def test_job_that_no_look_has_shown_was_recorded_by_the_next_look(
    outbox: Outbox, watcher: Watcher
) -> None:
    before = outbox.show(None)
    after = outbox.show(None)

    assert set(recorded_by(watcher, before).values()) < {NEVER, *watcher._looks}
    assert all(before < at < after for at in recorded_by(watcher, before).values())
    assert set(recorded_by(watcher, time.time() + 60).values()) == {NEVER}
