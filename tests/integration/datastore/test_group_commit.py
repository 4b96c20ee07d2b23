"""Group commit: threads share a transaction, but not each other's failures."""

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
    """A database with one counter; it counts its transactions, and can fail them."""

    def __init__(self, store: Datastore) -> None:
        self.store = store
        self.group_commit = GroupCommit(self._write)
        self.begun = 0
        self.committed = 0
        # Raised at the beginning of each transaction, or by the next commit.
        self.begin_error: Exception | None = None
        self.commit_error: Exception | None = None
        chats.make_chat(store, 1)

    @contextmanager
    def _write(self, _deadline: float | None) -> Iterator[Session]:
        self.begun += 1
        if self.begin_error is not None:
            raise self.begin_error
        with self.store.write() as session:
            yield session
            problem, self.commit_error = self.commit_error, None
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


def fail_unchanged(session: Session) -> int:
    raise KeyError("failed")


def add_and_fail(session: Session) -> int:
    add_one(session)
    raise KeyError("failed")


def run_behind_open_transaction(
    counting: CountingStore, works: list[Callable[[Session], int]]
) -> list[Future[int]]:
    """Results of a first write, which ends when all the others wait, and of these."""
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


def test_waiting_writes_share_a_transaction_in_order(counting: CountingStore) -> None:
    found = run_behind_open_transaction(counting, [add_one] * 5)

    assert [each.result() for each in found] == [1, 2, 3, 4, 5, 6]
    assert counting.committed == 2
    assert counting.counter() == 6


def test_write_that_fails_unchanged_fails_alone(counting: CountingStore) -> None:
    found = run_behind_open_transaction(counting, [add_one, fail_unchanged, add_one])

    assert [each.result() for each in (found[1], found[3])] == [2, 3]
    assert isinstance(found[2].exception(), KeyError)
    assert counting.committed == 2
    assert counting.counter() == 3


def test_failed_write_leaves_no_change(counting: CountingStore) -> None:
    found = run_behind_open_transaction(counting, [add_one, add_and_fail, add_one])

    assert [each.result() for each in (found[1], found[3])] == [2, 3]
    assert isinstance(found[2].exception(), KeyError)
    assert counting.counter() == 3


def test_each_write_runs_alone_after_a_failed_commit(counting: CountingStore) -> None:
    def fill_disk(session: Session) -> int:
        counting.commit_error = OSError("no space")
        return add_one(session)

    found = run_behind_open_transaction(counting, [add_one, fill_disk, add_one])

    assert [found[0].result(), found[1].result(), found[3].result()] == [1, 2, 3]
    assert str(found[2].exception()) == "no space"
    assert counting.counter() == 3


def test_single_write_with_a_failed_commit_is_not_repeated(
    counting: CountingStore,
) -> None:
    counting.commit_error = OSError("no space")

    with pytest.raises(OSError, match="no space"):
        counting.group_commit.run(add_one)

    assert (counting.begun, counting.counter()) == (1, 0)


def test_outage_fails_each_write_and_the_next_succeeds(
    counting: CountingStore,
) -> None:
    counting.begin_error = OSError("away")
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(counting.group_commit.run, add_one) for _ in range(4)]
    assert [str(each.exception()) for each in found] == ["away"] * 4

    counting.begin_error = None

    assert counting.group_commit.run(add_one) == 1


def test_ended_thread_does_not_block_the_others(counting: CountingStore) -> None:
    def end(session: Session) -> int:
        raise SystemExit

    found = run_behind_open_transaction(counting, [end, add_one])
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


def test_kept_session_forgets_the_rows_of_the_last_write(
    counting: CountingStore,
) -> None:
    store = counting.store

    def rename(name: str) -> Callable[[Session], str]:
        def work(session: Session) -> str:
            chat = session.scalars(select(Chat)).one()
            before, chat.name = chat.name, name
            return before

        return work

    store.write_grouped(rename("Tea"))
    with store.write() as session:
        session.execute(text("UPDATE chat SET name = 'Lunch'"))

    assert store.write_grouped(rename("Dinner")) == "Lunch"
    with store.read() as session:
        assert session.scalars(select(Chat.name)).one() == "Dinner"


def test_write_after_a_failed_one_has_a_transaction_of_its_own(
    counting: CountingStore,
) -> None:
    for _ in range(3):
        with pytest.raises(KeyError):
            counting.store.write_grouped(add_and_fail)
        counting.store.write_grouped(add_one)

    assert counting.counter() == 3
    assert counting.store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
