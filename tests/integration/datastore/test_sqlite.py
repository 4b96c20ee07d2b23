"""SQLite's writers take turns, over threads, processes and forks."""

import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from datastore import Datastore, messages
from datastore import chats as rooms
from datastore.posts import Draft
from models.base import utc_now
from models.chats import Chat
from tests.support import chats, databases


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield store


def add_to_counter(url: str, times: int) -> None:
    store = Datastore(url)
    for _ in range(times):
        increment(store)


def increment(store: Datastore) -> None:
    with store.write() as session:
        seen = session.scalars(select(Chat.last_seq)).one()
        session.execute(text("UPDATE chat SET last_seq = :n"), {"n": seen + 1})


def counter(store: Datastore) -> int:
    with store.read() as session:
        return session.scalars(select(Chat.last_seq)).one()


def test_threads_do_not_overwrite_each_other(store: Datastore) -> None:
    chats.make_chat(store, 1)
    threads = [
        threading.Thread(target=lambda: [increment(store) for _ in range(20)])
        for _ in range(5)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert counter(store) == 100


def test_processes_do_not_overwrite_each_other(store: Datastore) -> None:
    chats.make_chat(store, 1)
    url = store.url.render_as_string()
    spawn = multiprocessing.get_context("forkserver")
    children = [spawn.Process(target=add_to_counter, args=(url, 20)) for _ in range(3)]

    for child in children:
        child.start()
    for child in children:
        child.join(120)

    assert [child.exitcode for child in children] == [0, 0, 0]
    assert counter(store) == 60


def test_store_opened_before_a_fork_works_on_both_sides(store: Datastore) -> None:
    chats.make_chat(store, 1)
    increment(store)
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=lambda: [increment(store) for _ in range(30)])

    child.start()
    for _ in range(30):
        increment(store)
    child.join(120)

    assert child.exitcode == 0
    assert counter(store) == 61


def test_exception_rolls_the_transaction_back(store: Datastore) -> None:
    chats.make_chat(store, 1)

    try:
        with store.write() as session:
            session.execute(text("UPDATE chat SET last_seq = 99"))
            raise KeyError
    except KeyError:
        pass

    assert counter(store) == 0


def test_committed_write_survives_a_power_cut(store: Datastore) -> None:
    with store.read() as session:
        raw = session.connection().exec_driver_sql

        assert raw("PRAGMA synchronous").scalar() == 2
        assert raw("PRAGMA journal_mode").scalar() == "wal"
        assert raw("PRAGMA foreign_keys").scalar() == 1


def test_sends_leave_the_kept_session_alone(store: Datastore) -> None:
    """Its own transaction, and its end, take longer than the statements of a send."""
    chat = chats.make_chat(store, 1)
    sender = chats.sender_of(store, chat)

    def post(session: Session) -> bool:
        membership = rooms.membership(session, chat, sender, for_update=True)
        messages.post(session, membership, Draft(text="hi"), utc_now())
        return session.in_transaction()

    # The second job stands behind the first one.
    assert [store.write_grouped(post) for _ in range(2)] == [False, False]
