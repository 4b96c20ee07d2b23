"""Threads that write together share a transaction, and nothing else."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from datastore import Datastore
from datastore.group_commit import GroupCommit
from models.chats import Chat
from tests.support import chats, databases
from tests.support.wait import until


class CountingStore:
    """A database with one counter, and what is done to it together."""

    def __init__(self, store: Datastore) -> None:
        self.store = store
        self.group_commit = GroupCommit(self._write)
        self.begun = 0
        self.committed = 0
        # Raised at the beginning, or in place of the next commit.
        self.locked: Exception | None = None
        self.full: Exception | None = None
        chats.make_chat(store, 1)

    @contextmanager
    def _write(self) -> Iterator[Session]:
        self.begun += 1
        if self.locked is not None:
            raise self.locked
        with self.store.write() as session:
            yield session
            problem, self.full = self.full, None
            if problem is not None:
                raise problem
        self.committed += 1

    def counter(self) -> int:
        with self.store.read() as session:
            return session.scalars(select(Chat.last_seq)).one()


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[CountingStore]:
    with databases.fresh("sqlite", tmp_path) as store:
        yield CountingStore(store)


def add_one(session: Session) -> int:
    seen = session.scalars(select(Chat.last_seq)).one()
    session.execute(text("UPDATE chat SET last_seq = :n"), {"n": seen + 1})
    session.expire_all()
    return seen + 1


def refuse(session: Session) -> int:
    raise KeyError("refused")


def add_and_break(session: Session) -> int:
    add_one(session)
    raise KeyError("broken")


def behind_one_another(
    counting: CountingStore, works: list[Callable[[Session], int]]
) -> list[Future[int]]:
    """The first keeps its transaction open until all the others wait for theirs."""
    others_wait = threading.Event()

    def keep_open(session: Session) -> int:
        assert others_wait.wait(20)
        return add_one(session)

    with ThreadPoolExecutor(len(works) + 1) as threads:
        first = threads.submit(counting.group_commit.run, keep_open)
        until(lambda: counting.begun == 1)
        until(lambda: not counting.group_commit.waiting)
        found = [first]
        for count, work in enumerate(works, start=1):
            found.append(threads.submit(counting.group_commit.run, work))
            until(lambda count=count: counting.group_commit.waiting == count)
        others_wait.set()
    return found


def test_those_who_wait_go_together_and_in_order(counting: CountingStore) -> None:
    found = behind_one_another(counting, [add_one] * 5)

    assert [each.result() for each in found] == [1, 2, 3, 4, 5, 6]
    assert counting.committed == 2
    assert counting.counter() == 6


def test_one_that_is_refused_is_refused_alone(counting: CountingStore) -> None:
    found = behind_one_another(counting, [add_one, refuse, add_one])

    assert [each.result() for each in (found[1], found[3])] == [2, 3]
    assert isinstance(found[2].exception(), KeyError)
    assert counting.committed == 2
    assert counting.counter() == 3


def test_one_that_breaks_leaves_nothing_behind(counting: CountingStore) -> None:
    found = behind_one_another(counting, [add_one, add_and_break, add_one])

    assert [each.result() for each in (found[1], found[3])] == [2, 3]
    assert isinstance(found[2].exception(), KeyError)
    assert counting.counter() == 3


def test_after_a_commit_that_failed_each_is_done_alone(counting: CountingStore) -> None:
    def fill(session: Session) -> int:
        counting.full = OSError("no space")
        return add_one(session)

    found = behind_one_another(counting, [add_one, fill, add_one])

    assert [found[0].result(), found[1].result(), found[3].result()] == [1, 2, 3]
    assert str(found[2].exception()) == "no space"
    assert counting.counter() == 3


def test_one_whose_own_commit_failed_is_told_and_not_done_again(
    counting: CountingStore,
) -> None:
    counting.full = OSError("no space")

    with pytest.raises(OSError, match="no space"):
        counting.group_commit.run(add_one)

    assert (counting.begun, counting.counter()) == (1, 0)


def test_without_a_database_each_is_told_and_the_next_succeeds(
    counting: CountingStore,
) -> None:
    counting.locked = OSError("away")
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(counting.group_commit.run, add_one) for _ in range(4)]
    assert [str(each.exception()) for each in found] == ["away"] * 4

    counting.locked = None

    assert counting.group_commit.run(add_one) == 1


def test_a_thread_that_is_made_to_end_stops_nobody(counting: CountingStore) -> None:
    def end(session: Session) -> int:
        raise SystemExit

    found = behind_one_another(counting, [end, add_one])
    later = counting.group_commit.run(add_one)

    assert isinstance(found[1].exception(), SystemExit)
    assert isinstance(found[2].exception(), RuntimeError)
    assert (found[0].result(), later) == (1, 2)


def test_many_threads_lose_nothing(counting: CountingStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(counting.group_commit.run, [add_one] * 200))

    assert sorted(found) == list(range(1, 201))
    assert counting.counter() == 200
    assert counting.committed <= 200
