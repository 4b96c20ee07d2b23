"""Sends by several threads and stores at once, and a reading of the same member."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text

from datastore import Datastore, chats, messages, sends
from datastore.posts import Draft
from models.base import utc_now
from models.chats import Chat, Member, Message
from models.errors import Invalid, NotFound
from models.pushes import PushJob
from tests.support import chats as rooms
from tests.support import databases
from tests.support.wait import until


def test_a_send_stores_all_that_the_next_one_needs(store: Datastore) -> None:
    chat = rooms.make_chat(store, 2)
    sender = rooms.sender_of(store, chat)

    sent = [sends.send(store, chat, sender, Draft(text=each)) for each in "ab"]

    with store.read() as session:
        jobs = session.scalars(select(PushJob).order_by(PushJob.id)).all()
        row = session.get_one(Chat, chat)
        member = session.get_one(Member, (chat, sender))
        texts = session.scalars(select(Message.text).order_by(Message.seq)).all()
    assert texts == ["a", "b"]
    assert [each.posted.job_id for each in sent] == [job.id for job in jobs]
    assert [job.waits_for for job in jobs] == [None, jobs[0].id]
    assert [job.due_at is None for job in jobs] == [False, True]
    assert (row.last_seq, row.last_job_id, member.read_seq) == (2, jobs[1].id, 2)


def test_strangers_may_neither_send_nor_be_mentioned(store: Datastore) -> None:
    chat, other = rooms.make_chat(store, 1), rooms.make_chat(store, 1)
    sender, stranger = rooms.sender_of(store, chat), rooms.sender_of(store, other)

    with pytest.raises(NotFound):
        sends.send(store, chat, stranger, Draft(text="hi"))
    with pytest.raises(NotFound):
        sends.send(store, chat, stranger, Draft(text="hi", mentions=[sender]))
    with pytest.raises(Invalid):
        sends.send(store, chat, sender, Draft(text="hi", mentions=[stranger]))

    assert rooms.open_jobs(store) == 0


def test_a_refusal_stores_nothing_and_only_members_are_asked_about(
    store: Datastore,
) -> None:
    chat = rooms.make_chat(store, 1)
    sender = rooms.sender_of(store, chat)
    asked = []

    def refuse(chat_id: int) -> None:
        asked.append(chat_id)
        raise KeyError

    with pytest.raises(NotFound):
        sends.send(store, chat, sender + 99, Draft(text="hi"), refuse)
    with pytest.raises(KeyError):
        sends.send(store, chat, sender, Draft(text="hi"), refuse)

    assert (asked, rooms.open_jobs(store)) == ([chat], 0)


@pytest.mark.parametrize("pooler", ["", "pooler=transaction"])
def test_jobs_of_senders_at_the_same_moment_are_a_chain(
    tmp_path: Path, pooler: str
) -> None:
    url = databases.fresh_url("postgresql", tmp_path)
    if pooler:
        url += ("&" if "?" in url else "?") + pooler
    stores = [Datastore(url), Datastore(url)]
    chat = rooms.make_chat(stores[0], 2)
    sender = rooms.sender_of(stores[0], chat)

    def send(number: int) -> None:
        sends.send(stores[number % 2], chat, sender, Draft(text="hi"))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(send, range(120)))

    with stores[0].read() as session:
        jobs = session.execute(
            select(Message.seq, PushJob.id, PushJob.waits_for)
            .join(PushJob, PushJob.message_id == Message.id)
            .order_by(Message.seq)
        ).all()
    for each in stores:
        each.close()
    assert [row.seq for row in jobs] == list(range(1, 121))
    assert [row.waits_for for row in jobs] == [None, *(row.id for row in jobs[:-1])]


def test_a_client_id_is_stored_once_by_senders_at_the_same_moment(
    store: Datastore,
) -> None:
    chat = rooms.make_chat(store, 1)
    sender = rooms.sender_of(store, chat)
    draft = Draft(text="hi", client_id="once")

    with ThreadPoolExecutor(6) as threads:
        found = list(
            threads.map(lambda _: sends.send(store, chat, sender, draft), range(12))
        )

    assert len({each.posted.message.id for each in found}) == 1
    assert [each.posted.is_new for each in found].count(True) == 1


def test_a_removed_sender_is_refused_behind_the_lock(store: Datastore) -> None:
    if not store.is_postgresql:
        pytest.skip("another transaction must hold the lock")
    chat = rooms.make_chat(store, 1)
    sender = rooms.sender_of(store, chat)

    with ThreadPoolExecutor(1) as threads:
        with store.write() as session:
            chats.get(session, chat, for_update=True)
            session.execute(delete(Member).where(Member.user_id == sender))
            waiting = threads.submit(sends.send, store, chat, sender, Draft(text="hi"))
        with pytest.raises(NotFound):
            waiting.result(20)


def test_a_post_and_a_reading_of_one_member_do_not_deadlock(store: Datastore) -> None:
    """The post has locked the chat and wants the member; the reading the reverse."""
    if not store.is_postgresql:
        pytest.skip("needs two transactions that write at once")
    chat = rooms.make_chat(store, 1)
    sender = rooms.sender_of(store, chat)
    for _ in range(2):
        rooms.post(store, chat)
    both = threading.Barrier(2, timeout=20)

    def post() -> None:
        with store.write() as session:
            membership = chats.membership(session, chat, sender, for_update=True)
            both.wait()
            both.wait()
            messages.post(session, membership, Draft(text="hi"), utc_now())

    def read() -> None:
        with store.write() as session:
            session.execute(text("SET LOCAL deadlock_timeout = '100ms'"))
            both.wait()
            membership = chats.membership(session, chat, sender)
            session.execute(
                text("UPDATE member SET read_seq = 0 WHERE user_id = :u"),
                {"u": sender},
            )
            both.wait()
            messages.mark_read(session, membership, 1, utc_now())

    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(post), threads.submit(read)]:
            each.result(30)

    with store.read() as session:
        assert session.get_one(Chat, chat).last_seq == 3


def test_senders_who_wait_for_a_locked_chat_hold_up_no_other_chat(
    store: Datastore,
) -> None:
    if not store.is_postgresql:
        pytest.skip("SQLite has one writer at a time, and MariaDB no such sends")
    locked, free = rooms.make_chat(store, 1), rooms.make_chat(store, 1)
    waiter, sender = rooms.sender_of(store, locked), rooms.sender_of(store, free)
    # A pooler has only few connections for all of them.
    number = 2 if store.has_pooler else 8
    with ThreadPoolExecutor(number) as threads:
        with store.write() as session:
            session.execute(select(Chat).where(Chat.id == locked).with_for_update())
            draft = Draft(text="waits")
            waiting = [
                threads.submit(sends.send, store, locked, waiter, draft)
                for _ in range(number)
            ]
            until(lambda: databases.waiting_for_locks(store) == number)

            sent = sends.send(store, free, sender, Draft(text="goes"))

            assert not any(each.done() for each in waiting)
        assert sent.posted.is_new
        assert sorted(each.result().posted.message.seq for each in waiting) == [
            *range(1, number + 1)
        ]
