"""Messages of one chat that an engine claims together, and jobs claimed twice."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import notifier.engine.first_targets
from datastore import Datastore
from datastore.outbox import job_status, progress
from datastore.outbox.progress import Recorded, Step
from models.base import utc_now
from models.chats import Message
from models.pushes import Notification, PushJob, Target
from notifier.channels import Report
from notifier.engine import rhythm
from notifier.engine.loop import Engine
from tests.support import chats
from tests.support.fake_channel import FakeChannel
from tests.support.wait import eventually


class Scene:
    """A running engine and its only channel."""

    def __init__(self, store: Datastore, channel: FakeChannel) -> None:
        self.channel = channel
        self.wake = asyncio.Event()
        own = Datastore(store.url.render_as_string(hide_password=False))
        self.engine = Engine(own, lambda *_: {"apns": channel}, owner="a", lease_s=30)

    async def __aenter__(self) -> "Scene":
        self.running = asyncio.create_task(
            self.engine.run(linger_s=None, wake=self.wake)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.engine.stop()
        await self.running


def state(store: Datastore, job: int) -> str:
    with store.read() as session:
        found = job_status.find(session, job)
    assert found is not None
    return found.state


def have_ended(store: Datastore) -> bool:
    with store.read() as session:
        return not session.scalars(
            select(PushJob.id).where(PushJob.finished_at.is_(None))
        ).all()


async def test_a_busy_chat_needs_no_claim_for_each_message(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rhythm, "CLAIM_INTERVAL_S", 2.0)
    monkeypatch.setattr(rhythm, "LONGEST_CLAIM_INTERVAL_S", 2.0)
    chat = chats.make_chat(store, 2)
    texts = [str(number) for number in range(20)]
    for text in texts:
        chats.post(store, chat, text=text)
    channel = FakeChannel()

    async with Scene(store, channel):
        await eventually(lambda: have_ended(store))

    assert channel.texts() == [text for text in texts for _ in range(2)]


async def test_a_message_that_waits_for_its_turn_may_still_be_deleted(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier.engine.first_targets, "MAX_AGE_S", 0.0)
    chat = chats.make_chat(store, 2)
    for text in ("first", "second", "third"):
        chats.post(store, chat, text=text)
    channel = FakeChannel()
    channel.gate.clear()

    async with Scene(store, channel):
        await channel.reached.wait()
        with store.write() as session:
            session.execute(
                update(Message)
                .where(Message.text == "second")
                .values(deleted_at=utc_now())
            )
        channel.gate.set()
        await eventually(lambda: have_ended(store))

    assert channel.texts() == ["first"] * 2 + ["third"] * 2


class BrokenOnce(FakeChannel):
    """Fails to render the first message, with an error that is not the message's."""

    awaits_token = False

    def render(self, notification: Notification) -> Notification:
        if notification.text == "first":
            raise RuntimeError("broken")
        return notification


async def test_a_job_that_fails_does_not_stop_the_next_ones(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)
    posted = [chats.post(store, chat, text=text) for text in ("first", "second")]
    channel = BrokenOnce()

    async with Scene(store, channel):
        await eventually(lambda: state(store, posted[1]) == "completed")

    assert channel.texts() == ["second"] * 2
    assert state(store, posted[0]) == "processing"


async def test_a_job_whose_progress_is_refused_is_postponed_and_blocks_no_other(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = chats.make_chat(store, 2)
    posted = [chats.post(store, chat, text=text) for text in ("first", "second")]
    record = progress.record

    def refuse(
        session: Session, owner: str, steps: list[Step], **lease: datetime
    ) -> Recorded:
        if any(step.job_id == posted[0] for step in steps):
            raise IntegrityError("INSERT", {}, Exception("a row that is none"))
        return record(session, owner, steps, **lease)

    monkeypatch.setattr(progress, "record", refuse)

    async with Scene(store, FakeChannel()):
        await eventually(lambda: state(store, posted[1]) == "completed")

    with store.read() as session:
        job = session.get_one(PushJob, posted[0])
    assert job.error == "internal error; see the log of the notifier"
    assert not job.holds_chat
    assert job.due_at is not None


class Slow(FakeChannel):
    """Counts its calls of `send`."""

    def __init__(self) -> None:
        super().__init__()
        self.sends = 0

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        self.sends += 1
        await super().send(rendered, targets, report)


async def test_a_job_whose_lease_expired_is_not_run_twice(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 5))
    other = chats.make_chat(store, 1)
    channel = Slow()
    channel.gate.clear()

    async with Scene(store, channel) as scene:
        await channel.reached.wait()
        # As after an outage that was longer than the lease.
        past = utc_now() - timedelta(seconds=1)
        with store.write() as session:
            session.execute(update(PushJob).values(due_at=past))
        later = chats.post(store, other)
        scene.wake.set()
        await eventually(lambda: channel.sends == 2)
        channel.gate.set()
        await eventually(lambda: have_ended(store))

    assert set(Counter(channel.devices()).values()) == {1}
    assert [state(store, each) for each in (job, later)] == ["completed"] * 2


async def test_an_engine_knows_how_many_of_its_jobs_wait(store: Datastore) -> None:
    busy, calm = chats.make_chat(store, 2), chats.make_chat(store, 1)
    for chat in (busy, busy, busy, calm):
        chats.post(store, chat)
    channel = Slow()
    channel.gate.clear()

    async with Scene(store, channel) as scene:
        await eventually(lambda: channel.sends == 2)
        running = scene.engine._running
        held = len(running), running.waiting
        channel.gate.set()
        await eventually(lambda: have_ended(store) and len(running) == 0)

    assert held == (4, 2)
    assert (running.waiting, running.shards) == (0, 0)
