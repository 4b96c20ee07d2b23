"""A few strikes at two parts; `python -m benchmarks.chaos` makes two thousand."""

import pytest

from benchmarks.chaos import run
from benchmarks.chaos.history import GUARANTEES
from benchmarks.chaos.parts import POSTGRESQL, SQLITE, Part

SEED = 7
# Faults that are over at once.
SHORT = ("kill engine", "kill web worker", "kill host", "end backends", "inject 40001")


@pytest.mark.parametrize(
    ("part", "faults"),
    [
        (Part("process", SQLITE), (*SHORT, "stop engine")),
        (Part("process", POSTGRESQL, 2), SHORT),
    ],
    ids=lambda value: value.name if isinstance(value, Part) else "",
)
def test_strikes_break_no_guarantee(part: Part, faults: tuple[str, ...]) -> None:
    strikes = 5

    result = run.run(part, strikes, SEED, only=faults)

    assert sum(result.faults.values()) == strikes
    assert result.row["messages"] > 10
    assert result.row["pushes"] > result.row["messages"]
    zeros = (*GUARANTEES, "wrong_answers", "unanswered")
    broken = {name: result.row[name] for name in zeros if result.row[name]}
    assert broken == {}, "\n".join(result.details)
