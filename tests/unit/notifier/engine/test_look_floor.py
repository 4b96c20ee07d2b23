"""The floor of an engine's looks: lowered at once, raised by what a look has found."""

from datetime import timedelta

import pytest

from datastore.outbox.claims import EVERYTHING, NEVER, Floor
from models.base import utc_now
from notifier.engine import ANY_JOB, claimer
from notifier.engine.claimer import FULL_LOOK_S, LookFloor

FOUND = Floor(job_id=100, due_at=utc_now())


@pytest.fixture
def floor() -> LookFloor:
    """A floor after a look at everything that has found job 100."""
    floor = LookFloor()
    assert floor.take() == EVERYTHING
    floor.raise_to(FOUND)
    return floor


def test_the_next_look_begins_where_the_last_one_found_something(
    floor: LookFloor,
) -> None:
    taken = floor.take()

    assert taken._replace(until=NEVER) == FOUND
    assert not floor.was_full


def test_it_asks_only_until_the_next_look_at_everything(floor: LookFloor) -> None:
    until = floor.take().until

    assert until <= utc_now() + timedelta(seconds=FULL_LOOK_S)


def test_after_a_second_a_look_asks_for_everything(
    floor: LookFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = claimer.time.monotonic() + FULL_LOOK_S
    monkeypatch.setattr(claimer.time, "monotonic", lambda: later)

    assert floor.take() == EVERYTHING
    assert floor.was_full


def test_a_job_that_becomes_due_lowers_it(floor: LookFloor) -> None:
    floor.lower(70)
    floor.lower(90)

    assert floor.take().job_id == 70


def test_a_job_above_it_changes_nothing(floor: LookFloor) -> None:
    floor.lower(170)

    assert floor.take().job_id == 100


def test_any_job_makes_the_next_look_ask_for_everything(floor: LookFloor) -> None:
    floor.lower(ANY_JOB)

    assert floor.take() == EVERYTHING
    assert floor.was_full


@pytest.mark.parametrize("job_id", [70, ANY_JOB])
def test_what_becomes_due_during_a_look_is_not_forgotten(
    floor: LookFloor, job_id: int
) -> None:
    begun = floor.take()

    floor.lower(job_id)
    floor.raise_to(begun._replace(job_id=150))

    assert floor.take().job_id == job_id


def test_a_look_that_does_not_end_raises_nothing(floor: LookFloor) -> None:
    floor.lower(70)
    floor.take()

    assert floor.take().job_id == 70
