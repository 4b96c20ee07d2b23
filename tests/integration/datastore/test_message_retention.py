"""Old messages are pruned, and what is left agrees with a simple count."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, update

from datastore import Datastore, chat_lists, chats, messages, retention, unread
from datastore.posts import Draft
from models.base import utc_now
from models.chats import Member, Message, Uncounted
from models.errors import NotFound
from models.pushes import COMPLETED, PushFailure, PushJob
from tests.support import databases
from tests.support.chats import make_chat
from tests.support.query_plans import analyze, plan_of

NOW = utc_now()
DAYS = 30


@pytest.fixture
def chat(store: Datastore) -> int:
    """A conversation of three users: 1, 2 and 3."""
    return make_chat(store, 2)


def post(
    store: Datastore,
    chat_id: int,
    *,
    days_ago: float,
    user: int = 1,
    ended: bool = True,
    **more: Any,
) -> int:
    """Post a message of long ago, whose push has ended; returns the message's id."""
    with store.write() as session:
        at = NOW - timedelta(days=days_ago)
        membership = chats.membership(session, chat_id, user, for_update=True)
        posted = messages.post(session, membership, Draft(text="hi", **more), at)
        if ended:
            end_jobs(session, PushJob.id == posted.job_id)
        return posted.message.id


def end_jobs(session: Any, which: Any) -> None:
    session.execute(
        update(PushJob)
        .where(which)
        .values(
            state=COMPLETED,
            due_at=None,
            waits_for=None,
            holds_chat=False,
            finished_at=NOW,
        )
    )


def forget(
    store: Datastore, chat_id: int, *, days: int | None = DAYS, limit: int = 100
) -> int:
    """Prune a conversation; returns the number of messages."""
    count, after = 0, 0
    while True:
        with store.write() as session:
            forgotten = retention.forget_messages(
                session, chat_id, after=after, default_days=days, now=NOW, limit=limit
            )
        count += forgotten.messages
        if forgotten.last_seq is None:
            return count
        after = forgotten.last_seq


def seqs(store: Datastore, chat_id: int) -> list[int]:
    with store.read() as session:
        found = messages.history(session, chat_id, after=0, before=None, limit=999)
    return [each.message.seq for each in found]


def delete(store: Datastore, chat_id: int, user: int, message_id: int) -> None:
    with store.write() as session:
        membership = chats.membership(session, chat_id, user, for_update=True)
        job_id = messages.delete(session, membership, message_id, NOW)
        end_jobs(session, PushJob.id == job_id)


def read(store: Datastore, chat_id: int, user: int, seq: int) -> int | None:
    with store.write() as session:
        membership = chats.membership(session, chat_id, user)
        _, job_id = messages.mark_read(session, membership, seq, NOW)
        if job_id is not None:
            end_jobs(session, PushJob.id == job_id)
        return job_id


def of_member(store: Datastore, chat_id: int, user: int) -> int:
    with store.read() as session:
        return unread.of_member(session, chat_id, user)


def test_old_messages_go_with_their_jobs_and_failures(
    store: Datastore, chat: int
) -> None:
    old = post(store, chat, days_ago=31)
    post(store, chat, days_ago=29)
    with store.write() as session:
        job = session.scalars(select(PushJob.id).where(PushJob.message_id == old)).one()
        failure = {"outcome": "gone", "reason": "Unregistered", "attempts": 1}
        session.add(PushFailure(job_id=job, device_id=1, **failure))

    assert forget(store, chat) == 1

    assert seqs(store, chat) == [2]
    with store.read() as session:
        assert session.scalars(select(PushJob.message_id)).all() != []
        assert session.get(PushJob, job) is None
        assert session.scalars(select(PushFailure)).all() == []
    assert forget(store, chat) == 0


def test_the_next_number_follows_the_last_one_that_was_pruned(
    store: Datastore, chat: int
) -> None:
    gone = [post(store, chat, days_ago=31) for _ in range(3)]
    post(store, make_chat(store, 1), days_ago=0, user=4)

    assert forget(store, chat) == 3
    new = post(store, chat, days_ago=0)

    assert seqs(store, chat) == [4]
    assert new > max(gone)


def test_ids_of_messages_and_jobs_are_never_used_again(
    store: Datastore, chat: int
) -> None:
    gone = [post(store, chat, days_ago=31, user=1)]
    gone += [post(store, chat, days_ago=31) for _ in range(2)]
    with store.read() as session:
        last_job = session.scalars(select(func.max(PushJob.id))).one()

    forget(store, chat)
    with store.write() as session:
        retention.forget_pushes(session, NOW + timedelta(days=1), 100)

    new = post(store, chat, days_ago=0)
    assert new > max(gone)
    with store.read() as session:
        assert session.scalars(select(func.max(PushJob.id))).one() > last_job
        # On SQLite the newest message had to stay, but its text did not.
        texts = session.scalars(select(Message.text).where(Message.id != new)).all()
    assert set(texts) <= {""}
    assert forget(store, chat) <= 1
    assert [seq for seq in seqs(store, chat) if seq < 4] == []


def test_messages_are_kept_for_ever_unless_a_number_of_days_is_set(
    store: Datastore, chat: int
) -> None:
    post(store, chat, days_ago=3000)

    assert forget(store, chat, days=None) == 0

    assert seqs(store, chat) == [1]


@pytest.mark.parametrize(("own_days", "left"), [(7, [3]), (90, [1, 2, 3])])
def test_a_conversations_own_number_of_days_comes_first(
    store: Datastore, chat: int, own_days: int, left: list[int]
) -> None:
    for days_ago in (60, 10, 1):
        post(store, chat, days_ago=days_ago)
    with store.write() as session:
        chats.change(session, chat, {"retention_days": own_days})

    forget(store, chat)

    assert seqs(store, chat) == left


@pytest.mark.parametrize("default_days", [None, DAYS])
def test_conversations_with_old_messages_are_found(
    store: Datastore, monkeypatch: pytest.MonkeyPatch, default_days: int | None
) -> None:
    monkeypatch.setattr(retention, "CHATS_PER_LOOK", 2)
    made = [make_chat(store, 0) for _ in range(7)]
    for number, chat_id in enumerate(made[:6]):
        post(store, chat_id, days_ago=10 * number, user=number + 1)
    with store.write() as session:
        # The third and the sixth one differ from the default.
        chats.change(session, made[2], {"retention_days": 15})
        chats.change(session, made[5], {"retention_days": 99})

    found, after = [], 0
    while after is not None:
        with store.read() as session:
            look = retention.find_chats(
                session, after=after, default_days=default_days, now=NOW
            )
        found += look.chats
        after = look.last

    expected = [made[2]] if default_days is None else [made[2], made[4]]
    # The fourth is as old as the limit, but for the time that the test takes.
    assert [each for each in found if each != made[3]] == expected


def test_a_message_stays_until_its_push_has_ended(store: Datastore, chat: int) -> None:
    later = NOW + timedelta(days=100)
    post(store, chat, days_ago=40)
    scheduled = post(store, chat, days_ago=40, ended=False, deliver_after=later)
    post(store, chat, days_ago=40)
    post(store, chat, days_ago=0)

    assert forget(store, chat, limit=1) == 2
    assert seqs(store, chat) == [2, 4]
    # It does not count any more, because it is too old.
    assert of_member(store, chat, 2) == 1
    with store.write() as session:
        end_jobs(session, PushJob.message_id == scheduled)
    assert forget(store, chat) == 1

    assert seqs(store, chat) == [4]


def test_a_message_that_is_locked_is_left_to_the_next_round(
    store: Datastore, chat: int
) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    locked = post(store, chat, days_ago=40)
    post(store, chat, days_ago=40)

    with store.write() as session:
        membership = chats.membership(session, chat, 1)
        messages.edit(session, membership, locked, "changed", NOW)

        assert forget(store, chat) == 1

    assert seqs(store, chat) == [1]
    assert forget(store, chat) == 1


def test_a_conversation_that_is_locked_is_left_to_the_next_round(
    store: Datastore, chat: int
) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    post(store, chat, days_ago=40)

    with store.write() as session:
        chats.membership(session, chat, 1, for_update=True)

        assert forget(store, chat) == 0

    assert forget(store, chat) == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda *message: messages.edit(*message, "changed", NOW),
        lambda *message: messages.delete(*message, NOW),
    ],
)
def test_a_pruned_message_is_not_found(
    store: Datastore, chat: int, work: Callable[..., object]
) -> None:
    gone = post(store, chat, days_ago=40)
    post(store, chat, days_ago=0)
    forget(store, chat)

    with store.write() as session:
        membership = chats.membership(session, chat, 1, for_update=True)
        with pytest.raises(NotFound):
            work(session, membership, gone)


def test_reading_up_to_a_pruned_message_needs_no_push(
    store: Datastore, chat: int
) -> None:
    for days_ago in (40, 40, 0):
        post(store, chat, days_ago=days_ago)
    forget(store, chat)

    assert read(store, chat, 2, 2) is None
    assert of_member(store, chat, 2) == 1
    assert read(store, chat, 2, 3) is not None
    assert of_member(store, chat, 2) == 0


def test_a_page_begins_with_the_oldest_message_that_is_left(
    store: Datastore, chat: int
) -> None:
    for days_ago in (40, 40, 10, 5):
        post(store, chat, days_ago=days_ago)
    forget(store, chat)

    def page(**bounds: Any) -> list[int]:
        bounds = {"after": None, "before": None, "limit": 9} | bounds
        with store.read() as session:
            found = messages.history(session, chat, **bounds)
            return [each.message.seq for each in found]

    assert page(after=0) == page(after=1) == [3, 4]
    assert page(before=4) == [3]
    assert page(before=3) == page(before=1) == []


def listed(store: Datastore, user: int) -> dict[int, int]:
    with store.read() as session:
        found = chat_lists.list_for(session, user, before=None, limit=1000)
    return {each.membership.chat_id: each.unread for each in found}


def counted(
    store: Datastore, user: int, too_old: set[int] = frozenset()
) -> dict[int, int]:
    """Unread messages by the definition: each one that exists is looked at.

    `too_old` are messages (ids) that may still be there because of their push.
    """
    with store.read() as session:
        rows = session.execute(
            select(Member.chat_id, Message.id)
            .outerjoin(
                Message,
                (Message.chat_id == Member.chat_id)
                & (Message.seq > Member.read_seq)
                & Message.deleted_at.is_(None),
            )
            .where(Member.user_id == user)
        ).all()
    counts = {row[0]: 0 for row in rows}
    for chat_id, message_id in rows:
        counts[chat_id] += message_id is not None and message_id not in too_old
    return counts


@pytest.mark.parametrize("seed", range(3))
def test_unread_agrees_with_a_count_after_anything(store: Datastore, seed: int) -> None:
    order = random.Random(seed)
    some = [make_chat(store, 2), make_chat(store, 2)]
    users = {some[0]: [1, 2, 3], some[1]: [4, 5, 6]}
    # How old the next message is; messages of a chat are never younger than later ones.
    age = dict.fromkeys(some, 100.0)
    too_old: set[int] = set()

    def do(what: str, chat_id: int, user: int) -> None:
        with store.read() as session:
            page = messages.history(session, chat_id, after=0, before=None, limit=999)
        found = [each.message for each in page]
        alive = [each for each in found if each.deleted_at is None]
        if what == "post":
            age[chat_id] = max(age[chat_id] - order.random() * 5, 0)
            ended = order.random() < 0.9
            post(store, chat_id, days_ago=age[chat_id], user=user, ended=ended)
        elif what == "read" and found:
            read(store, chat_id, user, order.choice(found).seq)
        elif what == "delete" and alive:
            chosen = order.choice(alive)
            delete(store, chat_id, chosen.sender_id, chosen.id)
        elif what == "end":
            with store.write() as session:
                end_jobs(session, PushJob.chat_id == chat_id)
        elif what == "prune":
            days = order.choice([90, 60, 30, 10])
            before = NOW - timedelta(days=days)
            too_old.update(each.id for each in found if each.created_at < before)
            forget(store, chat_id, days=days, limit=order.choice([1, 3, 100]))

    kinds = ["post"] * 5 + ["read"] * 2 + ["delete"] * 2 + ["end", "prune"]
    for _ in range(120):
        chat_id = order.choice(some)
        do(order.choice(kinds), chat_id, order.choice(users[chat_id]))

        for user in users[chat_id]:
            assert listed(store, user) == counted(store, user, too_old)
    assert too_old


def test_what_is_known_of_deleted_messages_goes_with_them(
    store: Datastore, chat: int
) -> None:
    old = [post(store, chat, days_ago=40) for _ in range(10)]
    young = [post(store, chat, days_ago=0) for _ in range(4)]
    for message_id in (*old[3:9], young[1]):
        delete(store, chat, 1, message_id)

    forget(store, chat)

    with store.read() as session:
        left = session.execute(select(Uncounted.seq, Uncounted.nth)).all()
    # The ranks go on from the newest one that was pruned.
    assert [tuple(row) for row in left] == [(9, 6), (12, 7)]
    delete(store, chat, 1, young[2])
    assert of_member(store, chat, 2) == 2


def test_senders_readers_and_pruners_at_once_agree(store: Datastore) -> None:
    chat_id = make_chat(store, 2)
    for _ in range(60):
        post(store, chat_id, days_ago=40)

    do = partial(databases.as_we_do, store)

    def send() -> None:
        for _ in range(30):
            do(partial(post, store, chat_id, days_ago=0))

    def reading() -> None:
        for seq in range(1, 60, 2):
            do(partial(read, store, chat_id, 2, seq))

    def prune() -> None:
        for _ in range(20):
            do(partial(forget, store, chat_id, limit=3))

    works: list[Callable[[], None]] = [send, reading, prune, prune]
    with ThreadPoolExecutor(len(works)) as pool:
        for each in [pool.submit(work) for work in works]:
            each.result()
    forget(store, chat_id)

    assert seqs(store, chat_id) == list(range(61, 91))
    for user in (1, 2, 3):
        assert listed(store, user) == counted(store, user)


def test_old_messages_are_found_by_key(store: Datastore, chat: int) -> None:
    first = post(store, chat, days_ago=40)
    with store.write() as session:
        at: datetime = NOW - timedelta(days=40)
        row = {"chat_id": chat, "sender_id": 1, "text": "", "created_at": at}
        rows = [row | {"id": first + n, "seq": n + 1} for n in range(1, 3000)]
        session.execute(Message.__table__.insert(), rows)  # type: ignore[attr-defined]
    analyze(store, "message", "chat", "push_job")

    def look() -> None:
        with store.read() as session:
            retention.find_chats(session, after=0, default_days=DAYS, now=NOW)

    def prune() -> None:
        with store.write() as session:
            retention.forget_messages(
                session, chat, after=0, default_days=DAYS, now=NOW, limit=10
            )

    plan = plan_of(store, look, "message") + plan_of(store, prune, "FROM message")

    assert plan
    bad = ("SCAN message", "Seq Scan on message", " ALL ", "TEMP B-TREE")
    assert not [line for line in plan if any(each in line for each in bad)], plan
