"""Unread is one number, in lists and in badges, whatever the badge leaves out.

Most tests use conversations in which all members have been marked as caught up, so
that a badge is right only if the fan-out reopens them.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete as sql_delete
from sqlalchemy import event, func, insert, select, update
from sqlalchemy.orm import Session

from datastore import (
    Datastore,
    chat_lists,
    chats,
    import_rows,
    messages,
    outbox,
    unread,
)
from datastore.outbox import Claim, fanout
from datastore.posts import Draft
from models.accounts import Device
from models.base import utc_now
from models.chats import Chat, Member, Message, Uncounted
from models.imports import Row
from models.pushes import READ, WITHDRAW, PushJob
from tests.support.chats import make_chat
from tests.support.query_plans import analyze, plan_of

LONG = 10_000


def settled_chat(store: Datastore, *users: int, name: str = "settled") -> int:
    """A conversation of users who exist; all are marked as caught up."""
    with store.write() as session:
        chat, _ = chats.create(
            session, name, owner_id=users[0], user_ids=users[1:], now=utc_now()
        )
        return chat.id


def users_with_devices(store: Datastore, count: int) -> list[int]:
    """New users in no conversation."""
    chat_id = make_chat(store, count - 1)
    with store.write() as session:
        users = list(chats.member_ids(session, chat_id, limit=count))
        session.execute(sql_delete(Member).where(Member.chat_id == chat_id))
    return users


def post(store: Datastore, chat_id: int, user_id: int, **more: object) -> Claim:
    """Post a message; returns its job as an engine would load it."""
    draft = Draft(text="hi", **more)  # type: ignore[arg-type]
    with store.write() as session:
        membership = chats.membership(session, chat_id, user_id, for_update=True)
        posted = messages.post(session, membership, draft, utc_now())
    return load(store, posted.job_id)


def load(store: Datastore, job_id: int) -> Claim:
    with store.write() as session:
        change = {"lease_owner": "a", "started_at": utc_now()}
        session.execute(update(PushJob).where(PushJob.id == job_id).values(change))
        [claim] = outbox.load(session, "a", [job_id])
    return claim


def delete(store: Datastore, chat_id: int, user_id: int, seq: int) -> None:
    with store.write() as session:
        membership = chats.membership(session, chat_id, user_id, for_update=True)
        number = session.scalar(
            select(Message.id).where(Message.chat_id == chat_id, Message.seq == seq)
        )
        assert number is not None
        messages.delete(session, membership, number, utc_now())


def read(store: Datastore, chat_id: int, user_id: int, seq: int = LONG) -> None:
    with store.write() as session:
        membership = chats.membership(session, chat_id, user_id)
        messages.mark_read(session, membership, seq, utc_now())


def badges(store: Datastore, claim: Claim) -> dict[int, int]:
    """The badge that the push to each user carries."""
    found = fanout.next_targets(
        store, claim, after=claim.cursor, limit=1000, now=utc_now()
    )
    assert found is not None
    return {target.user_id: target.badge for target in found}


def listed(store: Datastore, user_id: int) -> dict[int, int]:
    """Unread messages by conversation, as the list shows them."""
    with store.read() as session:
        found = chat_lists.list_for(session, user_id, before=None, limit=1000)
    return {each.membership.chat_id: each.unread for each in found}


def counted(store: Datastore, user_id: int) -> dict[int, int]:
    """The same, by the definition: each message after `read_seq` is looked at."""
    with store.read() as session:
        return {
            row[0]: row[1]
            for row in session.execute(
                select(Member.chat_id, func.count(Message.id))
                .join(Chat, Chat.id == Member.chat_id)
                .outerjoin(
                    Message,
                    (Message.chat_id == Member.chat_id)
                    & (Message.seq > Member.read_seq)
                    & Message.deleted_at.is_(None),
                )
                .where(Member.user_id == user_id, Chat.deleted_at.is_(None))
                .group_by(Member.chat_id)
            )
        }


def are_caught_up(store: Datastore, chat_id: int) -> list[int]:
    """The members whose badge leaves this conversation out."""
    with store.read() as session:
        return list(
            session.scalars(
                select(Member.user_id)
                .where(Member.chat_id == chat_id, Member.caught_up.is_not(None))
                .order_by(Member.user_id)
            )
        )


@contextmanager
def writes(store: Datastore) -> Iterator[list[str]]:
    """The statements executed in the block that change memberships."""
    found: list[str] = []

    def keep(_c: object, _cur: object, sql: str, *_rest: object) -> None:
        if sql.startswith("UPDATE member"):
            found.append(sql)

    event.listen(store.engine, "before_cursor_execute", keep)
    try:
        yield found
    finally:
        event.remove(store.engine, "before_cursor_execute", keep)


def memberships(store: Datastore) -> dict[tuple[int, int], tuple[Any, ...]]:
    with store.read() as session:
        rows = session.execute(select(Member.__table__)).all()
    return {(row.chat_id, row.user_id): tuple(row) for row in rows}


# -- the badge


def test_the_badge_is_what_is_unread_over_all_conversations(store: Datastore) -> None:
    ann, bob, eve = users_with_devices(store, 3)
    one, other = settled_chat(store, ann, bob, eve), settled_chat(store, ann, bob)
    for _ in range(5):
        claim = post(store, other, ann)
    badges(store, claim)

    assert badges(store, post(store, one, ann)) == {bob: 1 + 5, eve: 1}


def test_the_badge_counts_the_message_that_is_pushed(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)
    assert are_caught_up(store, chat) == [ann, bob]

    assert badges(store, post(store, chat, ann)) == {bob: 1}
    assert are_caught_up(store, chat) == [ann]


def test_jobs_read_together_count_each_others_messages(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    pair = [settled_chat(store, ann, bob) for _ in range(2)]
    first, second = [post(store, chat, ann) for chat in pair]

    badges(store, first)

    assert badges(store, second) == {bob: 2}


def test_first_targets_leave_out_jobs_whose_members_must_be_reopened(
    store: Datastore,
) -> None:
    ann, bob = users_with_devices(store, 2)
    claims = [post(store, settled_chat(store, ann, bob), ann) for _ in range(10)]
    badges(store, claims[3])
    # No member of this one has a device.
    alone = post(store, settled_chat(store, ann), ann)

    with store.read() as session:
        found = fanout.first_targets(session, [*claims, alone], limit=7, now=utc_now())

    assert set(found) == {claims[3].job_id, alone.job_id}
    assert found[alone.job_id] == []


def test_a_message_to_members_who_are_open_writes_nothing(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)
    badges(store, post(store, chat, ann))
    read(store, chat, bob)
    claim = post(store, chat, ann)

    with writes(store) as written:
        assert badges(store, claim) == {bob: 1}

    assert not written


def test_a_send_writes_only_the_senders_membership(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)

    before = memberships(store)

    post(store, chat, ann)

    after = memberships(store)
    assert {key for key in after if after[key] != before[key]} == {(chat, ann)}


@pytest.mark.parametrize("kind", [READ, WITHDRAW])
def test_other_jobs_reopen_nobody(store: Datastore, kind: str) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)
    claim = replace(post(store, chat, ann), kind=kind)

    badges(store, claim)

    assert are_caught_up(store, chat) == [ann, bob]


def test_a_member_who_has_read_the_message_stays_caught_up(store: Datastore) -> None:
    ann, bob, eve = users_with_devices(store, 3)
    chat = settled_chat(store, ann, bob, eve)
    claim = post(store, chat, ann)
    read(store, chat, bob)

    assert badges(store, claim) == {bob: 0, eve: 1}
    assert are_caught_up(store, chat) == [ann, bob]


def test_a_muted_conversation_counts_in_the_badges_of_others(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    muted, other = settled_chat(store, ann, bob), settled_chat(store, ann, bob)
    with store.write() as session:
        membership = chats.membership(session, muted, bob)
        chats.mute(session, membership, utc_now() + timedelta(hours=1))

    assert badges(store, post(store, muted, ann)) == {}
    assert badges(store, post(store, other, ann)) == {bob: 2}


def test_a_device_registered_later_has_the_whole_badge(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    early, later = settled_chat(store, ann, bob), settled_chat(store, ann, bob)
    with store.write() as session:
        session.execute(
            update(Device).where(Device.user_id == bob).values(disabled_at=utc_now())
        )
    assert badges(store, post(store, early, ann)) == {}
    with store.write() as session:
        session.execute(update(Device).values(disabled_at=None))

    assert badges(store, post(store, later, ann)) == {bob: 2}


def test_silent_messages_count(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)

    assert badges(store, post(store, chat, ann, silent=True)) == {bob: 1}


def test_a_conversation_that_has_ended_does_not_count(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    ended, other = settled_chat(store, ann, bob), settled_chat(store, ann, bob)
    badges(store, post(store, ended, ann))
    with store.write() as session:
        chats.remove(session, ended, utc_now())

    assert badges(store, post(store, other, ann)) == {bob: 1}


def test_a_job_that_is_repeated_has_the_same_badges(store: Datastore) -> None:
    ann, bob, eve = users_with_devices(store, 3)
    claim = post(store, settled_chat(store, ann, bob, eve), ann)

    assert badges(store, claim) == badges(store, claim) == {bob: 1, eve: 1}
    rest = badges(store, replace(claim, cursor=(bob, LONG)))
    assert rest == {eve: 1}


def test_each_batch_reopens_its_own_members(store: Datastore) -> None:
    users = users_with_devices(store, 6)
    chat = settled_chat(store, *users)
    claim = post(store, chat, users[0])

    def batch(after: int, limit: int) -> list[int]:
        found = fanout.next_targets(
            store, claim, after=(after, LONG), limit=limit, now=utc_now()
        )
        assert found is not None
        return [target.badge for target in found]

    assert batch(0, 2) == [1, 1]
    assert are_caught_up(store, chat) == [users[0], *users[3:]]
    assert batch(users[2], 2) == [1, 1]
    assert are_caught_up(store, chat) == [users[0], users[5]]
    assert batch(users[4], 2) == [1]
    assert are_caught_up(store, chat) == [users[0]]


def test_a_shard_reopens_its_own_members(store: Datastore) -> None:
    users = users_with_devices(store, 5)
    chat = settled_chat(store, *users)
    claim = post(store, chat, users[0])

    badges(store, replace(claim, cursor=(users[1], LONG), until_user=users[3]))

    assert are_caught_up(store, chat) == [users[0], users[4]]


def test_many_members_without_devices_are_reopened_in_slices(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "REOPENED_AT_ONCE", 2)
    users = users_with_devices(store, 6)
    chat = settled_chat(store, *users)
    with store.write() as session:
        session.execute(update(Device).values(disabled_at=utc_now()))
    claim = post(store, chat, users[0])

    with writes(store) as written:
        badges(store, claim)

    assert are_caught_up(store, chat) == [users[0]]
    assert len(written) == 3


def test_a_message_that_expires_before_its_push_counts_in_later_badges(
    store: Datastore,
) -> None:
    ann, bob = users_with_devices(store, 2)
    late, other = settled_chat(store, ann, bob), settled_chat(store, ann, bob)

    fanout.reopen_rest(store, post(store, late, ann), after=(0, 0))

    assert badges(store, post(store, other, ann)) == {bob: 2}


# -- who is caught up


def test_reading_marks_nothing_while_few_conversations_are_open(
    store: Datastore,
) -> None:
    ann, bob = users_with_devices(store, 2)
    some = [settled_chat(store, ann, bob) for _ in range(unread.MOST_IDLE)]

    for chat in some:
        badges(store, post(store, chat, ann))
        read(store, chat, bob)

    assert all(bob not in are_caught_up(store, chat) for chat in some)


def test_reading_marks_the_others_once_many_are_open(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    some = [settled_chat(store, ann, bob) for _ in range(unread.MOST_IDLE + 2)]
    for chat in some:
        badges(store, post(store, chat, ann))
    unread_one, *rest = some

    for chat in rest:
        read(store, chat, bob)

    open_ones = [chat for chat in some if bob not in are_caught_up(store, chat)]
    assert open_ones == [unread_one, rest[-1]]
    assert badges(store, post(store, rest[0], ann)) == {bob: 2}


def test_reading_a_part_leaves_the_conversation_in_the_badge(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    some = [settled_chat(store, ann, bob) for _ in range(unread.MOST_IDLE + 2)]
    for chat in some:
        for _ in range(3):
            claim = post(store, chat, ann)
        badges(store, claim)
    read(store, some[0], bob, 2)

    for chat in some[1:]:
        read(store, chat, bob)

    assert badges(store, post(store, some[1], ann)) == {bob: 2}


def test_reading_marks_conversations_that_have_ended(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    some = [settled_chat(store, ann, bob) for _ in range(unread.MOST_IDLE + 2)]
    for chat in some:
        badges(store, post(store, chat, ann))
    with store.write() as session:
        for chat in some[1:]:
            chats.remove(session, chat, utc_now())

    read(store, some[0], bob)

    assert all(bob in are_caught_up(store, chat) for chat in some[1:])


def test_new_members_are_caught_up(store: Datastore) -> None:
    ann, bob, eve, tom = users_with_devices(store, 4)
    chat = settled_chat(store, ann, bob)
    for _ in range(3):
        claim = post(store, chat, ann)
    badges(store, claim)
    with store.write() as session:
        found = chats.get(session, chat, for_update=True)
        found.external_id = "c"
        chats.add_members(session, found, [eve])
        session.execute(
            update(chats.User).where(chats.User.id == tom).values(external_id="t")
        )
        values = {"user": "t", "conversation": "c", "role": "member"}
        import_rows.put(session, [Row(1, "member", values)], utc_now())

    assert are_caught_up(store, chat) == [ann, eve, tom]
    assert badges(store, post(store, chat, ann)) == {bob: 4, eve: 1, tom: 1}


def test_rows_of_older_code_are_in_the_badge(store: Datastore) -> None:
    chat = make_chat(store, 1)
    assert are_caught_up(store, chat) == []

    assert badges(store, post(store, chat, 1)) == {2: 1}


# -- deleted messages


def test_deleted_messages_are_not_unread(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)
    for _ in range(4):
        claim = post(store, chat, ann)
    delete(store, chat, ann, 2)
    delete(store, chat, ann, 3)

    assert listed(store, bob) == {chat: 2}
    assert badges(store, claim) == {bob: 2}


def test_a_withdrawal_carries_the_smaller_badge(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)
    for _ in range(3):
        claim = post(store, chat, ann)
    badges(store, claim)

    delete(store, chat, ann, 1)

    with store.read() as session:
        newest = session.scalar(select(func.max(PushJob.id)))
    assert newest is not None
    assert badges(store, load(store, newest)) == {bob: 2}


def test_a_message_deleted_after_it_was_read_changes_nothing(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)
    for _ in range(4):
        claim = post(store, chat, ann)
    badges(store, claim)
    read(store, chat, bob, 2)

    delete(store, chat, ann, 1)

    assert listed(store, bob) == {chat: 2}


def test_a_conversation_of_deleted_messages_only_is_read(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    some = [settled_chat(store, ann, bob) for _ in range(unread.MOST_IDLE + 2)]
    for chat in some:
        badges(store, post(store, chat, ann))
    delete(store, some[0], ann, 1)

    for chat in some[1:]:
        read(store, chat, bob)

    assert bob in are_caught_up(store, some[0])
    assert badges(store, post(store, some[0], ann)) == {bob: 1}


def test_any_order_of_deletions_leaves_the_right_number(store: Datastore) -> None:
    order = random.Random(11)
    users = users_with_devices(store, 6)
    ann, *others = users
    chat = settled_chat(store, *users)
    for _ in range(30):
        claim = post(store, chat, ann)
    badges(store, claim)
    for user in others:
        read(store, chat, user, order.randint(0, 30))

    for seq in order.sample(range(1, 31), 20):
        delete(store, chat, ann, seq)

        assert [listed(store, user) for user in others] == [
            counted(store, user) for user in others
        ]


def delete_newest(store: Datastore, chat_id: int) -> None:
    """Delete the newest message, in its sender's name."""
    with store.read() as session:
        newest = session.scalars(
            select(Message)
            .where(Message.chat_id == chat_id, Message.deleted_at.is_(None))
            .order_by(Message.seq.desc())
        ).first()
    if newest is not None:
        delete(store, chat_id, newest.sender_id, newest.seq)


def test_lists_badges_and_messages_agree_after_anything(store: Datastore) -> None:
    order = random.Random(6)
    users = users_with_devices(store, 4)
    members = {}
    for _ in range(12):
        some = order.sample(users, 3)
        members[settled_chat(store, *some)] = some

    for _ in range(150):
        chat = order.choice(list(members))
        user, *others = order.sample(members[chat], 3)
        what = order.choice(["post", "post", "read", "read", "delete"])
        if what == "post":
            shown = badges(store, post(store, chat, user))
            assert shown == {
                each: sum(counted(store, each).values()) for each in others
            }
        elif what == "read":
            read(store, chat, user, order.choice([2, 5, LONG]))
        else:
            delete_newest(store, chat)
        for each in users:
            assert listed(store, each) == counted(store, each)


# -- at the same moment


def test_no_message_is_lost_by_reading_at_the_same_moment(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    some = [settled_chat(store, ann, bob) for _ in range(unread.MOST_IDLE + 3)]
    for chat in some:
        badges(store, post(store, chat, ann))
    for chat in some:
        read(store, chat, bob)
    busy = some[0]

    def push() -> None:
        for _ in range(40):
            badges(store, post(store, busy, ann))

    def read_again(chat: int) -> None:
        for _ in range(40):
            read(store, chat, bob)
            with store.write() as session:
                unread.settle(session, bob, except_chat=0)

    with ThreadPoolExecutor(3) as pool:
        started = [
            pool.submit(push),
            pool.submit(read_again, busy),
            pool.submit(read_again, some[1]),
        ]
    for each in started:
        each.result()

    expected = sum(counted(store, bob).values()) + 1
    assert badges(store, post(store, some[-1], ann)) == {bob: expected}


def test_a_chat_that_is_getting_a_message_is_not_marked(store: Datastore) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    ann, bob = users_with_devices(store, 2)
    some = [settled_chat(store, ann, bob) for _ in range(unread.MOST_IDLE + 2)]
    for chat in some:
        badges(store, post(store, chat, ann))
    busy, *rest = some
    read(store, busy, bob)

    def begin(session: Session) -> None:
        membership = chats.membership(session, busy, ann, for_update=True)
        messages.post(session, membership, Draft(text="hi"), utc_now())

    with store.write() as session:
        begin(session)
        for chat in rest:
            read(store, chat, bob)

    assert bob not in are_caught_up(store, busy)
    assert bob in are_caught_up(store, rest[0])


# -- what it costs


def test_the_badge_looks_at_open_memberships_only(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    first, *_ = [settled_chat(store, ann, bob) for _ in range(300)]
    claim = post(store, first, ann)
    badges(store, claim)
    analyze(store, "member", "chat", "uncounted")

    plan = plan_of(store, lambda: badges(store, claim), about="device")

    assert [line for line in plan if "ix_member_user_id_caught_up" in line], plan
    wanted = "ix_member_chat_id_caught_up_user_id"
    assert [line for line in plan if wanted in line], plan


def test_deleted_messages_are_found_by_key(store: Datastore) -> None:
    ann, bob = users_with_devices(store, 2)
    chat = settled_chat(store, ann, bob)
    claim = post(store, chat, ann)
    with store.write() as session:
        rows = [{"chat_id": chat, "seq": seq, "nth": seq} for seq in range(1, 3001)]
        session.execute(insert(Uncounted), rows)
        change = {"last_seq": 4000, "uncounted_seq": 3000, "uncounted": 3000}
        session.execute(update(Chat).where(Chat.id == chat).values(change))
    analyze(store, "member", "chat", "uncounted")

    plan = plan_of(store, lambda: badges(store, claim), about="device")

    lines = [line for line in plan if "uncounted" in line]
    assert lines
    for bad in ("SCAN uncounted", "Seq Scan on uncounted", " ALL "):
        assert not [line for line in lines if bad in line], plan
    assert not [line for line in plan if "TEMP B-TREE" in line], plan
    assert badges(store, claim) == {bob: 1000}
