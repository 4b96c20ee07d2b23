"""A dozen kills at random moments; `python -m benchmarks.chaos` does hundreds."""

from benchmarks import chaos
from benchmarks.report import Report

KILLS = 12
SEED = 7


def test_a_dozen_kills_lose_nothing() -> None:
    report = Report("chaos")

    chaos.run(KILLS, SEED, report)

    # One row for each kind of victim, then what was found.
    *struck, found = report.rows
    assert sum(row["times"] for row in struck) == KILLS
    assert found["messages"] > KILLS
    assert found["pushes"] > found["messages"]
    assert (found["lost"], found["jobs_left"]) == (0, 0)
    assert all(goal["met"] for goal in report.goals)
