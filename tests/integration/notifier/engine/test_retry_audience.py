"""Retries of small and of large jobs go to the message's audience, not to others."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, update

import notifier.engine.job_run
from datastore import Datastore, outbox
from models.accounts import Device
from models.base import utc_now
from models.chats import Message
from models.pushes import MESSAGE, READ, WITHDRAW, PushFailure, PushJob
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.support import chats
from tests.support.audience_changes import CHANGES, Change, Phone
from tests.support.fake_channel import FakeChannel

# So late that no test sees the retry by chance.
BUSY = Outcome(Kind.LATER, "busy", retry_after_s=60)


def work(store: Datastore, outcome: Outcome) -> list[int]:
    """Run an engine until nothing is due; the devices (ids) it pushed to."""
    channel = FakeChannel(lambda target: outcome)
    # A pool of its own, because an engine closes its store when it ends.
    own = Datastore(store.url.render_as_string(hide_password=False))
    channels = {"apns": channel, "fcm": channel}
    engine = Engine(own, lambda tokens, troubles: channels, owner="a", lease_s=30)

    async def drain() -> None:
        async with asyncio.timeout(90):
            await engine.run(linger_s=0, wake=asyncio.Event())

    asyncio.run(drain())
    return channel.devices()


def enqueue_about(store: Datastore, kind: str, only_user: int | None) -> None:
    """A withdrawal of the only message, or a user's read mark."""
    now = utc_now()
    with store.write() as session:
        message = session.scalars(select(Message)).one()
        outbox.enqueue(
            session,
            message=message,
            deliver_at=now,
            ttl_s=3600,
            now=now,
            kind=kind,
            only_user=only_user,
        )


def make_due(store: Datastore) -> None:
    """Make all retries due, as if their delays had passed."""
    past = utc_now() - timedelta(seconds=1)
    with store.write() as session:
        waiting = PushJob.finished_at.is_(None)
        session.execute(update(PushJob).where(waiting).values(due_at=past))
        later = PushFailure.next_attempt_at.is_not(None)
        session.execute(update(PushFailure).where(later).values(next_attempt_at=past))


def phones(store: Datastore, chat: int, members: int) -> dict[Change, Phone]:
    """A phone for each change, spread over the members and so over the shards."""
    sender = chats.sender_of(store, chat)
    step = (members - 1) // len(CHANGES)
    found: dict[Change, Phone] = {}
    with store.read() as session:
        for place, change in enumerate(CHANGES):
            user = sender + 1 + place * step
            query = select(Device.id).where(Device.user_id == user)
            device = session.scalars(query).one()
            found[change] = Phone(chat, device, user, sender, sender + members)
    return found


@pytest.mark.parametrize("kind", [MESSAGE, WITHDRAW, READ])
@pytest.mark.parametrize("members", [16, 120])
def test_retries_go_to_the_audience(
    store: Datastore, monkeypatch: pytest.MonkeyPatch, members: int, kind: str
) -> None:
    monkeypatch.setattr(notifier.engine.job_run, "BATCH_SIZE", 10)
    monkeypatch.setattr(notifier.engine.job_run.due_work, "FIRST_TARGETS", 10)
    monkeypatch.setattr(notifier.engine.job_run, "SHARD_SIZE", 25)
    chat = chats.make_chat(store, members)
    changed = phones(store, chat, members)
    chats.post(store, chat)
    if kind != MESSAGE:
        work(store, ACCEPTED)
    if kind == WITHDRAW:
        enqueue_about(store, kind, None)
    if kind == READ:
        for phone in changed.values():
            enqueue_about(store, kind, phone.user)

    tried = work(store, BUSY)
    with store.write() as session:
        for change, phone in changed.items():
            change(session, phone)
    make_due(store)
    again = work(store, ACCEPTED)

    told = {phone.device for phone in changed.values()}
    told -= {
        phone.device
        for change, phone in changed.items()
        if kind not in CHANGES[change].retried
    }
    others = set(tried) - {phone.device for phone in changed.values()}
    assert len(tried) == (len(CHANGES) if kind == READ else members)
    assert Counter(again) == Counter(told | others)
    with store.read() as session:
        jobs = session.scalars(select(PushJob)).all()
    assert all(job.finished_at for job in jobs)
    assert any(job.parent_id for job in jobs) == (members > 100)
