"""The counters of running jobs always agree with the jobs themselves."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.engine import rhythm, running_jobs
from notifier.engine.chat_order import Turn
from notifier.engine.running_jobs import RunningJobs
from tests.support.clock import Clock

JOBS = st.integers(1, 4)
ACTIONS = st.sampled_from(["wait", "begin", "split", "end", "end the turn", "leave"])


@dataclass(eq=False)
class FakeRun:
    """The part of a run that the counters depend on."""

    job_id: int
    turn: Turn = field(default_factory=Turn)
    is_shard: bool = False
    attempts: int = 1
    is_released: bool = False
    # To slow devices.
    is_left: bool = False
    chat_id: int = 1
    sender_id: int = 1
    only_user: int | None = None
    pushes: Any = field(default_factory=lambda: SimpleNamespace(under_way=0, answers=0))

    @property
    def claim(self) -> Any:
        return SimpleNamespace(
            job_id=self.job_id,
            attempts=self.attempts,
            holds_chat=True,
            chat_id=self.chat_id,
            sender_id=self.sender_id,
            only_user=self.only_user,
        )

    def cancel(self) -> None:
        raise AssertionError("nobody cancels it")


def act(jobs: RunningJobs, runs: list[FakeRun], action: str, job_id: int) -> None:
    """One event of a job; runs that have been replaced may still report."""
    ours = [run for run in runs if run.job_id == job_id]
    if action in ("begin", "wait"):
        before = Turn()
        run = FakeRun(job_id, Turn(before) if action == "wait" else before)
        runs.append(run)
        jobs.add(run)
    elif action == "split":
        for run in ours:
            run.is_shard = True
            jobs.become_shard(run)
    elif action == "leave":
        for run in ours:
            run.is_left = True
            jobs.leave_to_stragglers(run)
    elif action == "end the turn":
        for run in ours:
            run.turn._after = None
            jobs.begin_turn(run)
    elif ours:
        jobs.remove(ours[0])
        runs.remove(ours[0])


@given(st.lists(st.tuples(ACTIONS, JOBS), max_size=40))
def test_the_counters_are_the_sums_over_all_runs(steps: list[tuple[str, int]]) -> None:
    jobs = RunningJobs()
    runs: list[FakeRun] = []

    for action, job_id in steps:
        act(jobs, runs, action, job_id)

        current = [run for run in jobs.find(range(1, 5))]
        assert len(jobs) == len(current)
        assert jobs.waiting == sum(run.turn.is_awaited for run in current)
        assert jobs.shards == sum(run.is_shard for run in current)
        left = sum(run.is_left for run in current)
        assert jobs.started == len(current) - jobs.waiting - left
        idle = sum(run.is_left or run.turn.is_awaited for run in current)
        assert jobs.by_sender().total() == len(current) - idle
        assert set(jobs.lasts) == {run.job_id for run in current if not run.is_shard}


def test_a_job_with_another_one_behind_it_is_not_the_last_of_its_chat() -> None:
    jobs = RunningJobs()
    first, second = FakeRun(1), FakeRun(2)
    jobs.add(first)

    second.turn = jobs.turn_after(1)
    jobs.add(second)

    assert jobs.lasts == [2]
    jobs.remove(second)
    jobs.remove(first)
    assert jobs.lasts == []


def test_the_end_of_an_earlier_run_does_not_remove_a_later_one() -> None:
    jobs = RunningJobs()
    earlier, later = FakeRun(1), FakeRun(1)
    jobs.add(earlier)
    jobs.add(later)

    jobs.remove(earlier)

    assert [run for run in jobs.find([1])] == [later]


def test_a_released_job_is_not_held() -> None:
    jobs = RunningJobs()
    run = FakeRun(1)
    jobs.add(run)
    held = jobs.is_held(run.claim)

    run.is_released = True

    assert (held, jobs.is_held(run.claim)) == (True, False)


def test_a_job_is_held_by_the_run_of_this_very_claim() -> None:
    jobs = RunningJobs()
    jobs.add(FakeRun(1, attempts=2))

    assert jobs.is_held(FakeRun(1, attempts=2).claim)
    # Another engine has had the job since that run began.
    assert not jobs.is_held(FakeRun(1, attempts=4).claim)
    assert not jobs.is_held(FakeRun(2, attempts=2).claim)


def test_another_claim_of_the_same_job_is_not_the_running_one() -> None:
    jobs = RunningJobs()
    jobs.add(FakeRun(1, attempts=2))

    assert jobs.has(FakeRun(1, attempts=2).claim)
    assert not jobs.has(FakeRun(1, attempts=3).claim)
    assert not jobs.has(FakeRun(2, attempts=2).claim)


# -- room for others


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(running_jobs, "time", SimpleNamespace(monotonic=clock))
    return clock


def test_jobs_that_only_wait_for_answers_make_room(clock: Clock) -> None:
    jobs = RunningJobs()
    runs = [FakeRun(number, sender_id=number) for number in (1, 2, 3)]
    for run in runs:
        jobs.add(run)
    silent, lively, _ = runs
    silent.pushes.under_way = lively.pushes.under_way = 1
    found = [jobs.make_room(3)]

    # Once more after a moment: only those that have made no progress meanwhile.
    clock.now += 0.1
    found.append(jobs.make_room(3))
    lively.pushes.answers += 1
    clock.now += rhythm.ROOM_INTERVAL_S
    found.append(jobs.make_room(3))

    assert found == [False, False, True]
    assert jobs.started == 2
    # The third one waits for something of ours, such as the database.
    assert set(jobs.by_sender()) == {2, 3}


def test_room_is_not_made_without_need(clock: Clock) -> None:
    jobs = RunningJobs()
    run = FakeRun(1)
    jobs.add(run)
    run.pushes.under_way = 1

    for _ in range(3):
        assert jobs.make_room(2)
        clock.now += 1

    assert jobs.started == 1


def test_a_job_that_was_left_is_not_forgotten_when_another_run_goes_on(
    clock: Clock,
) -> None:
    jobs = RunningJobs()
    run, heir = FakeRun(1), FakeRun(1)
    jobs.add(run)
    jobs.leave_to_stragglers(run)

    jobs.replace(run, heir)

    assert jobs.started == 0
    jobs.remove(heir)
    assert (len(jobs), jobs.started) == (0, 0)


def test_a_chat_with_many_waiting_jobs_here_gets_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_jobs, "MAX_WAITING_OF_CHAT", 2)
    jobs = RunningJobs()
    runs = [FakeRun(1)]
    jobs.add(runs[0])
    for number in (2, 3):
        run = FakeRun(number, turn=jobs.turn_after(number - 1))
        jobs.add(run)
        runs.append(run)
    jobs.add(FakeRun(9, chat_id=2))
    full = jobs.lasts

    jobs.begin_turn(runs[1])

    assert (full, jobs.lasts) == ([9], [3, 9])


def test_a_read_mark_counts_for_its_reader() -> None:
    jobs = RunningJobs()
    jobs.add(FakeRun(1, sender_id=1))
    jobs.add(FakeRun(2, sender_id=1, only_user=7))

    assert jobs.by_sender() == {1: 1, 7: 1}
