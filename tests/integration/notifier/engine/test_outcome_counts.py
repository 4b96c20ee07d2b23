"""What a job's row tells of its devices: platforms and outcomes, counted on the way."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import select, update

from datastore import Datastore
from datastore.outbox.job_status import JobStatus
from models.pushes import Notification, PushFailure, PushJob, Target
from notifier.channels import not_set_up
from notifier.channels.not_set_up import NotSetUp
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.integration.notifier.engine.test_engine import make_due, make_engine, status
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.fake_provider import RecordedTroubles

PLATFORMS = ("apns", "fcm", "webpush")
LATER = Outcome(Kind.LATER, "busy", retry_after_s=60)
OUTCOMES = [ACCEPTED] * 4 + [
    LATER,
    Outcome(Kind.GONE, "Unregistered"),
    Outcome(Kind.SUSPECT, "BadDeviceToken"),
    Outcome(Kind.REFUSED, "PayloadTooLarge"),
    Outcome(Kind.CREDENTIALS, "BadTopic"),
]


def run(engine: Engine) -> None:
    async def drain() -> None:
        async with asyncio.timeout(90):
            await engine.run(linger_s=0, wake=asyncio.Event())

    asyncio.run(drain())


def counted(job: JobStatus) -> dict[tuple[str, str], int]:
    assert job.outcomes is not None
    return {key: number for key, number in job.outcomes.items() if number}


@pytest.mark.parametrize("seed", range(4))
def test_each_device_counts_once_through_all_its_tries(
    store: Datastore, seed: int
) -> None:
    dice = random.Random(seed)
    devices = dice.choice([1, 5, 60, 250])
    chat = chats.make_chat(store, devices, platforms=PLATFORMS)
    job = chats.post(store, chat, ttl_s=3600)
    last: dict[int, tuple[str, str]] = {}

    def answer(target: Target) -> Outcome:
        outcome = dice.choice(OUTCOMES)
        last[target.device_id] = (target.platform, outcome.kind.value)
        return outcome

    for _ in range(4):
        channels = {platform: FakeChannel(answer) for platform in PLATFORMS}
        run(make_engine(store, **channels))

        now = status(store, job)
        assert counted(now) == Counter(last.values())
        assert now.accepted == sum(k == "accepted" for _, k in last.values())
        with store.read() as session:
            failed = session.scalars(select(PushFailure)).all()
        assert len(failed) == len(last) - now.accepted
        make_due(store, job)


def test_an_expired_job_counts_devices_that_were_not_tried(store: Datastore) -> None:
    chat = chats.make_chat(store, 3)
    job = chats.post(store, chat)
    with store.write() as session:
        session.execute(
            update(PushJob).values(expires_at=PushJob.created_at, attempts=0)
        )
        row = session.get_one(PushJob, job)
        row.expires_at = row.created_at.replace(year=2001)

    run(make_engine(store, apns=FakeChannel()))

    assert counted(status(store, job)) == {("", "untried"): 3}


def test_counts_that_an_older_engine_has_left_behind_are_not_shown(
    store: Datastore,
) -> None:
    job = chats.post(store, chats.make_chat(store, 3))
    run(make_engine(store, apns=FakeChannel()))
    assert counted(status(store, job)) == {("apns", "accepted"): 3}

    with store.write() as session:
        # It counts in the columns that it knows.
        session.execute(update(PushJob).values(accepted=5, total=5))

    assert status(store, job).outcomes is None


@pytest.mark.parametrize(
    ("fails", "live", "state", "waiting"),
    [
        (False, False, "processing", 2),
        (True, True, "processing", 2),
        (True, False, "failed", 0),
    ],
)
def test_devices_of_a_missing_platform_wait_or_fail(
    store: Datastore, *, fails: bool, live: bool, state: str, waiting: int
) -> None:
    troubles = RecordedTroubles()
    troubles.live = {"fcm"} if live else set()
    chat = chats.make_chat(store, 2, platforms=("fcm",))
    job = chats.post(store, chat, ttl_s=24 * 3600)

    channel = NotSetUp("fcm", troubles, fails=fails)
    run(make_engine(store, fcm=channel))  # type: ignore[arg-type]

    now = status(store, job)
    assert (now.state, now.pending) == (state, waiting)
    assert now.error == f"fcm: {not_set_up.REASON}"
    assert counted(now) == {("fcm", "unconfigured"): 2}
    assert channel.render(Notification.__new__(Notification)) is None
