"""Honest members beside hostile ones; `python -m benchmarks.isolation` takes times."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from benchmarks.isolation.honest import Honest
from benchmarks.isolation.rows import ROWS
from benchmarks.isolation.stage import Stage

SECONDS = 1.5
# Of the hostile member; as many as a test has time for.
CONVERSATIONS = 60


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with closing(Stage(conversations=CONVERSATIONS)) as running:
        yield running


@pytest.mark.parametrize(
    "name",
    [
        "a browser that answers 403",
        "four phones that answer 500",
        "a push service that never answers",
        "80 clients that do not read",
        "16 uploads of 8 bytes a second",
    ],
)
def test_honest_members_get_everything_beside(stage: Stage, name: str) -> None:
    honest = Honest(stage)

    with ROWS[name].hostile(stage):
        beside = honest.run(SECONDS)
    after = honest.run(SECONDS)

    for seen in (beside, after):
        assert len(seen.push_s) > 60
        assert (seen.failed, seen.undelivered) == (0, 0)
