"""Whatever a provider answers one device, the others have their push, and it an end."""

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support import device_outcomes, fault_table, push_processes
from tests.support.client import Reply
from tests.support.fault_table import RETRY_AFTER_S, Row
from tests.support.running_system import Conversation, RunningSystem
from tests.support.wait import until

HEALTHY = 20
# Far less than the half minute after which a request is given up.
PROMPT_S = 20.0
# A date has no fractions of a second, and the retry ladder's first rung is a second;
# the rest is for a busy machine.
EARLIEST, LATEST = timedelta(seconds=-1.1), timedelta(seconds=15)


@pytest.fixture
def system(world: RunningSystem) -> RunningSystem:
    world.sandbox.control(reset=True)
    world.sandbox.control(slow_s=0.3, retry_after_s=RETRY_AFTER_S)
    return world


class Crowd:
    """Healthy devices, and among them some that are not."""

    def __init__(
        self,
        system: RunningSystem,
        platform: str,
        magic: Sequence[str],
        before: int = 10,
    ) -> None:
        suffix = secrets.token_hex(4)
        self.system = system
        # Magic token → the device's.
        self.troubled = {name: f"{name}-{suffix}" for name in magic}
        self.conversation: Conversation = system.conversation(
            len(magic) + HEALTHY,
            platforms=(platform,),
            # In the middle: a connection that breaks has healthy ones on both sides.
            tokens=[""] * before + list(self.troubled.values()),
        )
        self.healthy = self.conversation.tokens - set(self.troubled.values())

    def post(self, **more: Any) -> Reply:
        self.posted = self.conversation.post(**more)
        self.job_id: int = self.posted.json["job"]["id"]
        return self.posted

    def wait_for_the_healthy(self) -> None:
        until(
            lambda: self.pushed().keys() >= self.healthy,
            PROMPT_S,
            "for the healthy devices",
        )

    def wait_until_it_rests(self) -> dict[str, Any]:
        """The job, when all have been tried and the rest has to wait."""
        until(lambda: device_outcomes.is_idle(self.system.store, self.job_id))
        return self.system.job(self.conversation, self.posted)

    def ended(self) -> dict[str, Any]:
        return self.system.wait_until_ended(self.conversation, self.posted)

    def is_done(self) -> bool:
        job = self.system.job(self.conversation, self.posted)
        return bool(job["finished_at"])

    def ends(self) -> dict[str, device_outcomes.DeviceOutcome]:
        return device_outcomes.of_job(self.system.store, self.job_id)

    def pushed(self) -> Counter[str]:
        return self.system.pushed(self.conversation)

    def tries(self) -> dict[str, list[datetime]]:
        """When each device's pushes reached the provider, whatever it said."""
        tries: dict[str, list[datetime]] = {
            token: [] for token in self.conversation.tokens
        }
        for push in self.system.sandbox.inbox(all=1, limit=200_000):
            if push["token"] in tries:
                arrived = datetime.fromisoformat(push["arrived_at"])
                tries[push["token"]].append(arrived)
        return tries


PLATFORMS = ("apns", "fcm")
ON_BOTH = pytest.mark.parametrize("platform", PLATFORMS)


@ON_BOTH
def test_a_final_answer_is_the_end_of_one_device_only(
    system: RunningSystem, platform: str
) -> None:
    rows = fault_table.FINAL[platform]
    accepted = fault_table.ACCEPTED[platform]
    crowd = Crowd(system, platform, [row.token for row in rows] + accepted)

    crowd.post()
    crowd.wait_for_the_healthy()
    job = crowd.ended()

    assert job["state"] == "completed"
    assert (job["accepted"], job["failed"]) == (HEALTHY + len(accepted), len(rows))
    found = crowd.ends()
    assert found.keys() == {crowd.troubled[row.token] for row in rows}
    for row in rows:
        check_final(row, found[crowd.troubled[row.token]])
    pushed, tries = crowd.pushed(), crowd.tries()
    assert {pushed[token] for token in crowd.healthy} == {1}
    for row in rows:
        # A bad token is tried in Apple's other environment, too.
        once = 2 if row.reason == "BadDeviceToken" else 1
        assert len(tries[crowd.troubled[row.token]]) == once, row.token


def check_final(row: Row, end: device_outcomes.DeviceOutcome) -> None:
    assert (end.outcome, end.reason) == (row.outcome, row.reason), row.token
    assert end.next_attempt_at is None, row.token
    assert end.is_disabled == (row.outcome == "gone"), row.token
    is_noted = row.outcome in ("gone", "suspect")
    assert end.noted == (row.reason[:100] if is_noted else None), row.token


@ON_BOTH
def test_a_put_off_device_waits_as_long_as_it_should_and_is_pushed_then(
    system: RunningSystem, platform: str
) -> None:
    rows = fault_table.WAITING[platform]
    crowd = Crowd(system, platform, [row.token for row in rows])

    crowd.post()
    crowd.wait_for_the_healthy()
    job = crowd.wait_until_it_rests()

    assert (job["state"], job["finished_at"]) == ("processing", None)
    assert (job["accepted"], job["failed"], job["pending"]) == (HEALTHY, 0, len(rows))
    found, tries = crowd.ends(), crowd.tries()
    for row in rows:
        token = crowd.troubled[row.token]
        check_waiting(row, found[token], tries[token])

    system.sandbox.control(answers=dict.fromkeys(crowd.troubled.values(), "slow"))
    # The old process has been told to make no provider tokens for a while, and waits.
    restart_push_process(system)
    device_outcomes.make_retries_due(system.store, crowd.job_id)
    job = crowd.ended()

    assert (job["accepted"], job["failed"]) == (HEALTHY + len(rows), 0)
    assert (job["state"], job["error"]) == ("completed", None)
    assert crowd.pushed() == dict.fromkeys(crowd.conversation.tokens, 1)
    assert crowd.ends() == {}


def check_waiting(
    row: Row, end: device_outcomes.DeviceOutcome, tries: list[datetime]
) -> None:
    # Others are accepted, so refused credentials are soon known as the device's matter.
    is_suspect = row.outcome == "credentials" and end.outcome == "suspect"
    assert is_suspect or end.outcome == row.outcome, row.token
    assert (end.is_disabled, end.reason) == (False, row.reason), row.token
    assert end.noted == (row.reason if is_suspect else None), row.token
    assert end.next_attempt_at is not None, row.token
    # A provider token that is called too old is replaced, and the push repeated.
    assert len(tries) == (2 if row.reason == "ExpiredProviderToken" else 1), row.token
    assert end.attempts == 1, row.token
    assert row.pause_s is not None
    pause = timedelta(seconds=row.pause_s)
    # What people have to mend is looked at again by each device at a moment of its own.
    jitter = pause if row.outcome == "credentials" else timedelta(0)
    beyond = end.next_attempt_at - tries[-1] - pause
    assert EARLIEST < beyond < LATEST + jitter, row.token


@pytest.mark.parametrize("fault", fault_table.BROKEN)
def test_a_broken_connection_loses_nobody(system: RunningSystem, fault: str) -> None:
    # One that has seen other connections break is slower to open new ones.
    restart_push_process(system)
    crowds = [Crowd(system, platform, [f"once-{fault}"]) for platform in PLATFORMS]

    for crowd in crowds:
        crowd.post()
    for crowd in crowds:
        crowd.wait_for_the_healthy()
    jobs = [crowd.ended() for crowd in crowds]

    # Of a push whose answer was lost nobody knows; a second one replaces the first.
    at_most = 2 if fault_table.BROKEN[fault] else 1
    marks = Counter(token for token, *_ in system.sandbox.summary(by="push")["pushes"])
    for crowd, job in zip(crowds, jobs, strict=True):
        assert (job["state"], job["error"]) == ("completed", None)
        assert (job["accepted"], job["failed"]) == (HEALTHY + 1, 0)
        assert crowd.ends() == {}
        pushed = crowd.pushed()
        assert pushed.keys() == crowd.conversation.tokens
        assert max(pushed.values()) <= at_most
        assert {marks[token] for token in crowd.conversation.tokens} == {1}


@ON_BOTH
def test_one_stream_at_a_time_is_enough(system: RunningSystem, platform: str) -> None:
    system.sandbox.control(max_concurrent_streams=1)
    crowd = Crowd(system, platform, ["slow"])

    crowd.post()
    job = crowd.ended()

    assert (job["accepted"], job["failed"]) == (HEALTHY + 1, 0)
    assert crowd.pushed() == dict.fromkeys(crowd.conversation.tokens, 1)


@ON_BOTH
def test_a_silent_provider_holds_up_only_the_device_it_is_silent_about(
    system: RunningSystem, platform: str
) -> None:
    crowd = Crowd(system, platform, ["hang"])
    (silent,) = crowd.troubled.values()

    crowd.post()
    crowd.wait_for_the_healthy()
    until(lambda: crowd.tries()[silent], what="for the push that gets no answer")

    assert crowd.pushed() == dict.fromkeys(crowd.healthy, 1)
    # Who comes after the one that waits finds it answered.
    system.sandbox.control(answers={silent: "slow"})
    for pid in system.push_processes():
        push_processes.kill(pid)
    job = crowd.ended()
    assert (job["accepted"], job["failed"]) == (HEALTHY + 1, 0)
    pushed = crowd.pushed()
    assert pushed[silent] == 1
    assert max(pushed.values()) <= 2


@ON_BOTH
def test_silence_about_the_first_device_of_all_holds_up_nobody_else(
    system: RunningSystem, platform: str
) -> None:
    restart_push_process(system)
    crowd = Crowd(system, platform, ["hang"], before=0)

    crowd.post()
    crowd.wait_for_the_healthy()

    assert crowd.pushed() == dict.fromkeys(crowd.healthy, 1)
    # Nobody after us waits until that request is given up.
    (silent,) = crowd.troubled.values()
    system.sandbox.control(answers={silent: "slow"})
    for pid in system.push_processes():
        push_processes.kill(pid)
    crowd.ended()


@ON_BOTH
def test_an_outage_puts_everybody_off_until_it_is_over(
    system: RunningSystem, platform: str
) -> None:
    system.sandbox.control(outage={platform: "500"})
    crowd = Crowd(system, platform, [])
    other = Crowd(system, "fcm" if platform == "apns" else "apns", [])

    crowd.post()
    other.post()
    unharmed = other.ended()
    until(lambda: len(crowd.ends()) == HEALTHY, what="for all to be put off")
    waiting = crowd.ends()
    system.sandbox.control(outage={platform: None})
    # A new process knows nothing of the pause that the old one has taken.
    restart_push_process(system)
    until(
        lambda: device_outcomes.is_idle(system.store, crowd.job_id) or crowd.is_done()
    )
    device_outcomes.make_retries_due(system.store, crowd.job_id)
    job = crowd.ended()

    assert (unharmed["accepted"], unharmed["failed"]) == (HEALTHY, 0)
    assert {end.outcome for end in waiting.values()} == {"later"}
    assert None not in {end.next_attempt_at for end in waiting.values()}
    assert (job["accepted"], job["failed"]) == (HEALTHY, 0)
    assert crowd.pushed() == dict.fromkeys(crowd.conversation.tokens, 1)


def restart_push_process(system: RunningSystem) -> None:
    for pid in system.push_processes():
        push_processes.stop(pid)


def test_a_provider_that_ends_every_connection_is_asked_again(
    system: RunningSystem,
) -> None:
    system.sandbox.control(outage={"all": "refuse"})
    crowds = [Crowd(system, platform, []) for platform in PLATFORMS]
    restart_push_process(system)

    for crowd in crowds:
        crowd.post()
    until(lambda: all(len(crowd.ends()) == HEALTHY for crowd in crowds))
    waiting = [end for crowd in crowds for end in crowd.ends().values()]
    system.sandbox.control(outage={"all": None})
    jobs = [crowd.ended() for crowd in crowds]

    assert {(end.outcome, end.attempts) for end in waiting} == {("later", 0)}
    assert [(job["accepted"], job["failed"]) for job in jobs] == [(HEALTHY, 0)] * 2
    for crowd in crowds:
        assert crowd.pushed() == dict.fromkeys(crowd.conversation.tokens, 1)
