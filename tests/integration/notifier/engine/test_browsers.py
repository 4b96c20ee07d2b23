"""Browsers get only what they show: no silent push, and no withdrawal of the unseen."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

import notifier.engine.job_run
from datastore import Datastore, chats, outbox
from models.accounts import Device
from models.base import utc_now
from models.chats import Member, Message
from models.pushes import READ, WITHDRAW, PushFailure, PushJob
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.support import chats as made
from tests.support.fake_channel import FakeChannel

BUSY = Outcome(Kind.LATER, "busy", retry_after_s=60)
PLATFORMS = ["webpush", "apns"]


def work(
    store: Datastore, answer: Callable[[Any], Outcome] = lambda target: ACCEPTED
) -> list[tuple[str, int]]:
    """Run an engine until nothing is due; platform and owner of each push."""
    channel = FakeChannel(answer)
    own = Datastore(store.url.render_as_string(hide_password=False))
    channels = dict.fromkeys(PLATFORMS, channel)
    engine = Engine(own, lambda tokens, troubles: channels, owner="a", lease_s=30)

    async def drain() -> None:
        async with asyncio.timeout(90):
            await engine.run(linger_s=0, wake=asyncio.Event())

    asyncio.run(drain())
    return sorted((target.platform, target.user_id) for _, target in channel.pushed)


def owners(pushes: list[tuple[str, int]], platform: str) -> list[int]:
    return [user for pushed_to, user in pushes if pushed_to == platform]


def enqueue_about(store: Datastore, kind: str, only_user: int | None = None) -> None:
    now = utc_now()
    with store.write() as session:
        outbox.enqueue(
            session,
            message=session.scalars(select(Message)).one(),
            deliver_at=now,
            ttl_s=3600,
            now=now,
            kind=kind,
            only_user=only_user,
        )


def change(store: Datastore, *statements: Any) -> None:
    with store.write() as session:
        for statement in statements:
            session.execute(statement, execution_options={"synchronize_session": False})


def make_due(store: Datastore) -> None:
    past = utc_now() - timedelta(seconds=1)
    change(
        store,
        update(PushJob).where(PushJob.finished_at.is_(None)).values(due_at=past),
        update(PushFailure)
        .where(PushFailure.next_attempt_at.is_not(None))
        .values(next_attempt_at=past),
    )


@pytest.mark.parametrize("members", [4, 120])
def test_a_withdrawal_replaces_what_all_browsers_show(
    store: Datastore, monkeypatch: pytest.MonkeyPatch, members: int
) -> None:
    """Also in the shards of a large job."""
    monkeypatch.setattr(notifier.engine.job_run, "BATCH_SIZE", 10)
    monkeypatch.setattr(notifier.engine.job_run.due_work, "FIRST_TARGETS", 10)
    monkeypatch.setattr(notifier.engine.job_run, "SHARD_SIZE", 25)
    chat = made.make_chat(store, members, platforms=PLATFORMS)
    made.post(store, chat)
    shown = work(store)

    enqueue_about(store, WITHDRAW)

    assert work(store) == shown
    assert len(shown) == members


def test_a_read_mark_is_for_phones_only(store: Datastore) -> None:
    chat = made.make_chat(store, 1, platforms=PLATFORMS, devices_each=2)
    reader = made.sender_of(store, chat) + 1
    made.post(store, chat)
    assert work(store) == [("apns", reader), ("webpush", reader)]

    enqueue_about(store, READ, reader)

    assert work(store) == [("apns", reader)]


def test_a_silent_message_is_for_phones_only(store: Datastore) -> None:
    """Also when the devices are read once for several messages."""
    chat = made.make_chat(store, 1, platforms=PLATFORMS, devices_each=2)
    reader = made.sender_of(store, chat) + 1
    for silent in (True, False, True, True):
        made.post(store, chat, silent=silent)

    pushes = work(store)

    assert owners(pushes, "apns") == [reader] * 4
    assert owners(pushes, "webpush") == [reader]


def test_a_silent_message_is_withdrawn_from_phones_only(store: Datastore) -> None:
    chat = made.make_chat(store, 1, platforms=PLATFORMS, devices_each=2)
    reader = made.sender_of(store, chat) + 1
    made.post(store, chat, silent=True)
    work(store)

    enqueue_about(store, WITHDRAW)

    assert work(store) == [("apns", reader)]


# -- what is not known to be shown


def read(session: Session, chat: int, user: int) -> None:
    session.execute(update(Member).where(Member.user_id == user).values(read_seq=1))


def registered_again(session: Session, chat: int, user: int) -> None:
    session.execute(
        update(Device).where(Device.user_id == user).values(registered_at=utc_now())
    )


def muted_meanwhile(session: Session, chat: int, user: int) -> None:
    """It may have been muted when the fan-out came to it."""
    membership = chats.membership(session, chat, user)
    chats.mute(session, membership, utc_now() + timedelta(hours=1))
    session.flush()
    chats.mute(session, membership, None)


def left(session: Session, chat: int, user: int) -> None:
    chats.remove_member(session, chat, user, utc_now(), by_themselves=True)


def left_and_joined_again(session: Session, chat: int, user: int) -> None:
    left(session, chat, user)
    chats.add_members(session, chats.get(session, chat, for_update=True), [user])


def disabled(session: Session, chat: int, user: int) -> None:
    session.execute(
        update(Device).where(Device.user_id == user).values(disabled_at=utc_now())
    )


def job_was_pruned(session: Session, chat: int, user: int) -> None:
    session.execute(delete(PushJob))


UNKNOWN = [
    read,
    registered_again,
    muted_meanwhile,
    left,
    left_and_joined_again,
    disabled,
    job_was_pruned,
]


@pytest.mark.parametrize("what", UNKNOWN, ids=lambda what: what.__name__)
def test_what_is_not_known_to_be_shown_is_not_withdrawn(
    store: Datastore, what: Callable[[Session, int, int], None]
) -> None:
    chat = made.make_chat(store, 2, platforms=["webpush"])
    first = made.sender_of(store, chat) + 1
    made.post(store, chat)
    work(store)
    with store.write() as session:
        what(session, chat, first)

    enqueue_about(store, WITHDRAW)

    others = [] if what is job_was_pruned else [("webpush", first + 1)]
    assert work(store) == others


@pytest.mark.parametrize("what", UNKNOWN[:-1], ids=lambda what: what.__name__)
def test_its_retry_is_given_up(
    store: Datastore, what: Callable[[Session, int, int], None]
) -> None:
    chat = made.make_chat(store, 2, platforms=["webpush"])
    first = made.sender_of(store, chat) + 1
    made.post(store, chat)
    work(store)
    enqueue_about(store, WITHDRAW)
    assert len(work(store, lambda target: BUSY)) == 2
    with store.write() as session:
        what(session, chat, first)
    make_due(store)

    assert work(store) == [("webpush", first + 1)]
    with store.read() as session:
        assert all(job.finished_at for job in session.scalars(select(PushJob)))


@pytest.mark.parametrize(
    "kind", [Kind.LATER, Kind.GONE, Kind.SUSPECT, Kind.REFUSED, Kind.CREDENTIALS]
)
def test_a_browser_that_has_not_accepted_gets_no_withdrawal(
    store: Datastore, kind: Kind
) -> None:
    chat = made.make_chat(store, 3, platforms=["webpush"])
    first = made.sender_of(store, chat) + 1
    made.post(store, chat)
    refusal = Outcome(kind, "no", retry_after_s=60)
    work(store, lambda target: refusal if target.user_id == first else ACCEPTED)

    enqueue_about(store, WITHDRAW)

    assert work(store) == [("webpush", first + 1), ("webpush", first + 2)]


def test_a_browser_that_accepted_a_retry_gets_the_withdrawal(store: Datastore) -> None:
    chat = made.make_chat(store, 2, platforms=["webpush"])
    made.post(store, chat)
    work(store, lambda target: BUSY)
    make_due(store)
    shown = work(store)

    enqueue_about(store, WITHDRAW)

    assert work(store) == shown
    assert len(shown) == 2


def test_a_message_deleted_before_its_push_shows_nothing(store: Datastore) -> None:
    chat = made.make_chat(store, 2, platforms=PLATFORMS)
    made.post(store, chat)
    with store.write() as session:
        message = session.scalars(select(Message)).one()
        message.deleted_at = utc_now()
    enqueue_about(store, WITHDRAW)

    assert owners(work(store), "webpush") == []


def test_a_browser_registered_since_gets_no_withdrawal(store: Datastore) -> None:
    """Even if the fan-out has passed its place."""
    chat = made.make_chat(store, 2, platforms=["webpush"])
    first = made.sender_of(store, chat) + 1
    made.post(store, chat)
    shown = work(store)
    row = {
        "user_id": first,
        "platform": "webpush",
        "token": "new",
        "token_hash": "new",
        "environment": "production",
        "registered_at": utc_now(),
    }
    with store.write() as session:
        session.execute(insert(Device), [row])

    enqueue_about(store, WITHDRAW)

    assert work(store) == shown


def test_an_unmuted_member_keeps_no_mute(store: Datastore) -> None:
    chat = made.make_chat(store, 1)
    user = made.sender_of(store, chat) + 1
    with store.write() as session:
        membership = chats.membership(session, chat, user)
        chats.mute(session, membership, None)
        session.flush()
        never = session.scalar(select(Member.muted_until).where(Member.user_id == user))
        chats.mute(session, membership, utc_now() + timedelta(hours=1))
        session.flush()
        chats.mute(session, membership, None)
    made.post(store, chat)

    assert never is None
    assert owners(work(store), "apns") == [user]
