"""The engine on a real database, with channels that answer as each test says."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

import notifier.engine.job_run
from datastore import Datastore
from datastore.outbox import due_work, job_status
from models.accounts import Device
from models.base import utc_now
from models.chats import Chat, Member, Message
from models.pushes import PushFailure, PushJob, Target
from notifier.engine.loop import Engine
from notifier.engine.running_jobs import Run, RunningJobs
from notifier.outcome import ACCEPTED, RECOVERED, ChannelDown, Kind, Outcome
from tests.support import chats
from tests.support.fake_channel import FakeChannel

# So late that no test sees the retry by chance.
BUSY = Outcome(Kind.LATER, "busy", retry_after_s=60)


def make_engine(store: Datastore, owner: str = "a", **channels: FakeChannel) -> Engine:
    # A pool of its own, because an engine closes its store when it ends.
    own = Datastore(store.url.render_as_string(hide_password=False))
    return Engine(own, lambda tokens, troubles: channels, owner=owner, lease_s=30)


async def drain(engine: Engine) -> None:
    async with asyncio.timeout(90):
        await engine.run(linger_s=0, wake=asyncio.Event())


def work(store: Datastore, channel: FakeChannel) -> None:
    asyncio.run(drain(make_engine(store, apns=channel)))


def status(store: Datastore, job: int) -> job_status.JobStatus:
    with store.read() as session:
        found = job_status.find(session, job)
    assert found is not None
    return found


def make_due(store: Datastore, job: int) -> None:
    """Make the job and its retries due, as if their delays had passed."""
    past = utc_now() - timedelta(seconds=1)
    with store.write() as session:
        session.execute(update(PushJob).where(PushJob.id == job).values(due_at=past))
        session.execute(
            update(PushFailure)
            .where(PushFailure.next_attempt_at.is_not(None))
            .values(next_attempt_at=past)
        )


def test_every_device_is_pushed_once(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2500, devices_each=2))
    channel = FakeChannel()

    work(store, channel)

    done = status(store, job)
    assert (done.state, done.total, done.accepted) == ("completed", 5000, 5000)
    assert Counter(channel.devices()).most_common(1)[0][1] == 1
    assert len(channel.pushed) == 5000


def test_a_chat_without_devices_completes(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 0))

    work(store, FakeChannel())

    assert (status(store, job).state, status(store, job).total) == ("completed", 0)


def test_a_device_that_was_busy_is_tried_again(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 3))
    answers = iter([ACCEPTED, BUSY, ACCEPTED, ACCEPTED])
    channel = FakeChannel(lambda target: next(answers))

    work(store, channel)
    between = status(store, job)
    make_due(store, job)
    work(store, channel)

    assert (between.state, between.accepted, between.pending) == ("processing", 2, 1)
    done = status(store, job)
    assert (done.state, done.accepted, done.failed) == ("completed", 3, 0)
    assert channel.devices()[-1] == channel.devices()[1]


def reason_of_device(store: Datastore, device_id: int) -> str | None:
    with store.read() as session:
        device = session.get_one(Device, device_id)
        assert device.disabled_at is None
        return device.reason


def test_a_suspect_device_shows_why_until_it_accepts(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 1))
    channel = FakeChannel(lambda target: Outcome(Kind.SUSPECT, "503 busy", 60))
    work(store, channel)
    [device_id] = channel.devices()
    between = status(store, job), reason_of_device(store, device_id)
    make_due(store, job)

    # Another engine, which knows nothing of it.
    work(store, FakeChannel())

    assert (between[0].state, between[0].pending) == ("processing", 1)
    assert between[1] == "503 busy"
    assert status(store, job).state == "completed"
    assert reason_of_device(store, device_id) is None


def test_a_recovery_at_the_first_try_removes_the_reason_too(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    answers = iter([Outcome(Kind.SUSPECT, "503 busy", 60), RECOVERED])
    channel = FakeChannel(lambda target: next(answers))
    chats.post(store, chat)
    work(store, channel)
    chats.post(store, chat)

    work(store, channel)

    assert reason_of_device(store, channel.devices()[0]) is None


def test_a_suspect_that_was_not_tried_is_not_marked(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 1))
    held = Outcome(Kind.SUSPECT, "503 busy", 60, tried=False)
    channel = FakeChannel(lambda target: held)

    work(store, channel)

    assert status(store, job).pending == 1
    assert reason_of_device(store, channel.devices()[0]) is None


def test_a_retry_stops_when_the_message_expires(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2), ttl_s=3600)
    channel = FakeChannel(lambda target: BUSY)
    work(store, channel)
    with store.write() as session:
        session.execute(update(PushJob).values(expires_at=utc_now()))
    make_due(store, job)

    work(store, channel)

    done = status(store, job)
    assert (done.state, done.failed, done.pending) == ("completed", 2, 0)
    assert len(channel.pushed) == 2


def test_an_outage_of_one_channel_does_not_delay_the_other(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 10, platforms=("apns", "fcm")))
    google = FakeChannel()

    class Down(FakeChannel):
        async def send(self, *args: object) -> None:
            raise ChannelDown("no route", retry_after_s=30)

    asyncio.run(drain(make_engine(store, apns=Down(), fcm=google)))

    now = status(store, job)
    assert (now.accepted, now.failed, now.pending) == (5, 0, 5)
    with store.read() as session:
        rows = session.scalars(select(PushFailure)).all()
    assert {row.reason for row in rows} == {"no route"}
    assert all(row.next_attempt_at > utc_now() + timedelta(seconds=5) for row in rows)


def test_a_channel_that_raises_loses_no_device(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 4))

    class Broken(FakeChannel):
        async def send(self, _: object, targets: list[Target], report: object) -> None:
            raise RuntimeError("a bug")

    work(store, Broken())

    assert (status(store, job).state, status(store, job).pending) == ("processing", 4)


def test_a_platform_without_a_channel_shows_in_the_job(store: Datastore) -> None:
    chat = chats.make_chat(store, 2, platforms=("fcm",))
    job = chats.post(store, chat, ttl_s=24 * 3600)

    work(store, FakeChannel())

    now = status(store, job)
    assert now.error == "fcm: this channel is not configured"
    assert (now.failed, now.pending) == (0, 2)


def test_a_notification_that_cannot_be_rendered_fails_the_job(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2))

    class Strict(FakeChannel):
        def render(self, notification: object) -> None:  # type: ignore[override]
            raise ValueError("reserved key")

    work(store, Strict())

    done = status(store, job)
    assert (done.state, done.error) == ("failed", "apns: reserved key")


def test_gone_devices_are_not_addressed_by_the_next_message(store: Datastore) -> None:
    chat = chats.make_chat(store, 3)
    chats.post(store, chat, text="first")
    channel = FakeChannel(
        lambda t: Outcome(Kind.GONE, "Unregistered") if t.user_id == 2 else ACCEPTED
    )
    work(store, channel)
    chats.post(store, chat, text="second")

    work(store, channel)

    assert Counter(channel.texts()) == {"first": 3, "second": 2}
    with store.read() as session:
        gone = session.scalars(select(Device).where(Device.user_id == 2)).one()
    assert gone.reason == "Unregistered"


def test_messages_of_one_chat_are_pushed_in_order(store: Datastore) -> None:
    chat = chats.make_chat(store, 3)
    for n in range(10):
        chats.post(store, chat, text=str(n))
    channel = FakeChannel()

    work(store, channel)

    for user in (2, 3, 4):
        texts = [text for text, target in channel.pushed if target.user_id == user]
        assert texts == [str(n) for n in range(10)]


def test_a_deleted_message_is_not_pushed(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 3))
    with store.write() as session:
        session.execute(update(Message).values(deleted_at=utc_now()))
    channel = FakeChannel()

    work(store, channel)

    assert channel.pushed == []
    assert status(store, job).state == "completed"


def test_two_engines_never_push_the_same_device(store: Datastore) -> None:
    posted_jobs = [chats.post(store, chats.make_chat(store, 20)) for _ in range(40)]
    channel = FakeChannel()

    async def both() -> None:
        engines = (make_engine(store, owner, apns=channel) for owner in "ab")
        await asyncio.gather(*(drain(engine) for engine in engines))

    asyncio.run(both())

    assert Counter(channel.devices()).most_common(1)[0][1] == 1
    assert {status(store, job).accepted for job in posted_jobs} == {20}


def watch_shards(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Collects an engine's numbers of jobs and shards whenever a job is split."""
    seen: set[tuple[int, int]] = set()
    become_shard = RunningJobs.become_shard

    def watch(jobs: RunningJobs, run: Run) -> None:
        become_shard(jobs, run)
        seen.add((len(jobs), jobs.shards))

    monkeypatch.setattr(RunningJobs, "become_shard", watch)
    return seen


def test_a_large_job_is_split_and_its_status_adds_up(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier.engine.job_run, "BATCH_SIZE", 10)
    monkeypatch.setattr(notifier.engine.job_run.due_work, "FIRST_TARGETS", 10)
    monkeypatch.setattr(notifier.engine.job_run, "SHARD_SIZE", 25)
    job = chats.post(store, chats.make_chat(store, 120, devices_each=2))
    channel = FakeChannel()

    async def both() -> None:
        engines = (make_engine(store, owner, apns=channel) for owner in "ab")
        await asyncio.gather(*(drain(engine) for engine in engines))

    seen = watch_shards(monkeypatch)

    asyncio.run(both())

    assert seen == {(1, 1)}
    done = status(store, job)
    assert (done.state, done.total, done.accepted) == ("completed", 240, 240)
    assert Counter(channel.devices()).most_common(1)[0][1] == 1
    with store.read() as session:
        parts = session.scalars(select(PushJob)).all()
    assert len(parts) == 5
    assert len({part.attempts for part in parts}) == 1


def test_the_message_after_a_split_one_waits_for_all_its_shards(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier.engine.job_run, "BATCH_SIZE", 10)
    monkeypatch.setattr(notifier.engine.job_run, "SHARD_SIZE", 25)
    chat = chats.make_chat(store, 120)
    chats.post(store, chat, text="first")
    chats.post(store, chat, text="second")
    channel = FakeChannel()

    work(store, channel)

    assert channel.texts() == ["first"] * 120 + ["second"] * 120


def test_an_expired_message_is_not_pushed(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 3)
    job = chats.post(store, chat, text="old", delay_s=-60, ttl_s=5)
    chats.post(store, chat, text="new")
    channel = FakeChannel()

    work(store, channel)

    old = status(store, job)
    assert set(channel.texts()) == {"new"}
    assert (old.state, old.total, old.failed) == ("failed", 3, 3)
    assert old.error == "expired before it could be pushed"


def mark_all_caught_up(store: Datastore) -> None:
    """As if every member had read everything and their badges left it out."""
    with store.write() as session:
        of_chat = Member.chat_id == Chat.id
        last = select(Chat.last_seq).where(of_chat).scalar_subquery()
        session.execute(update(Member).values(read_seq=last, caught_up=1))


def test_members_who_were_caught_up_get_the_right_badge(store: Datastore) -> None:
    sizes = [3, 2500, 1]
    some = [chats.make_chat(store, size) for size in sizes]
    for chat in some:
        chats.post(store, chat)
    mark_all_caught_up(store)
    jobs = [chats.post(store, chat, text="unread") for chat in some]
    channel = FakeChannel()

    work(store, channel)

    assert [status(store, job).accepted for job in jobs] == sizes
    badges = [target.badge for text, target in channel.pushed if text == "unread"]
    assert badges == [1] * sum(sizes)


def test_an_expired_message_counts_in_later_badges(store: Datastore) -> None:
    chat = chats.make_chat(store, 3)
    mark_all_caught_up(store)
    chats.post(store, chat, delay_s=-60, ttl_s=5)
    channel = FakeChannel()
    work(store, channel)
    with store.read() as session:
        open_ones = session.scalars(
            select(Member.user_id).where(Member.caught_up.is_(None))
        )

        assert channel.pushed == []
        assert sorted(open_ones) == [1, 2, 3, 4]


def run_with(
    store: Datastore, scene: Callable[[Engine, FakeChannel], Awaitable[None]]
) -> FakeChannel:
    """Run an engine until the scene has been played beside it."""

    async def play() -> FakeChannel:
        channel = FakeChannel()
        engine = make_engine(store, apns=channel)
        wake = asyncio.Event()
        running = asyncio.create_task(engine.run(linger_s=None, wake=wake))
        async with asyncio.timeout(55):
            await scene(engine, channel)
            engine.stop()
            await running
        return channel

    return asyncio.run(play())


def test_a_stopped_engine_finishes_what_is_in_flight(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 1500))

    async def scene(engine: Engine, channel: FakeChannel) -> None:
        channel.gate.clear()
        await channel.reached.wait()
        engine.stop()
        channel.gate.set()

    channel = run_with(store, scene)

    now = status(store, job)
    assert now.accepted == len(channel.pushed)
    with store.read() as session:
        left = session.scalars(select(PushJob)).one()
    assert left.lease_owner is None


def test_a_lost_job_is_dropped_without_changing_it(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 5))

    async def scene(engine: Engine, channel: FakeChannel) -> None:
        channel.gate.clear()
        await channel.reached.wait()
        with store.write() as session:
            session.execute(update(PushJob).values(lease_owner="another"))
        channel.gate.set()

    run_with(store, scene)

    now = status(store, job)
    assert (now.state, now.accepted) == ("processing", 0)


def test_a_crash_in_the_middle_repeats_only_what_was_not_recorded(
    store: Datastore,
) -> None:
    job = chats.post(store, chats.make_chat(store, 3000))
    channel = FakeChannel()

    async def crash() -> None:
        engine = make_engine(store, "first", apns=channel)
        running = asyncio.create_task(engine.run(linger_s=None, wake=asyncio.Event()))
        await channel.reached.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(crash())
    with store.write() as session:
        due_work.release_owner(session, "first")
    work(store, channel)

    counts = Counter(channel.devices())
    assert len(counts) == 3000
    assert status(store, job).accepted == 3000


def test_a_job_that_arrives_at_an_idle_engine_is_begun_at_once(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)

    async def play() -> float:
        channel = FakeChannel()
        engine = make_engine(store, apns=channel)
        wake = asyncio.Event()
        running = asyncio.create_task(engine.run(linger_s=None, wake=wake))
        chats.post(store, chat, text="one")
        wake.set()
        async with asyncio.timeout(55):
            await channel.reached.wait()
        engine.stop()
        await running
        return len(channel.pushed)

    assert asyncio.run(play()) == 2


def test_a_job_with_a_delivery_time_is_begun_when_it_is_due(store: Datastore) -> None:
    chat = chats.make_chat(store, 2)
    posted = utc_now()
    chats.post(store, chat, delay_s=0.15)

    async def scene(engine: Engine, channel: FakeChannel) -> None:
        await channel.reached.wait()

    channel = run_with(store, scene)

    assert utc_now() - posted >= timedelta(seconds=0.15)
    assert len(channel.pushed) == 2
