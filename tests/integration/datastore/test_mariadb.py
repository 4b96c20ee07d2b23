"""What only MariaDB does: it undoes transactions of ours for the sake of others."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from datastore import Datastore, outages
from datastore.timeouts import Timeouts
from models.accounts import User
from models.base import utc_now
from tests.support import databases, mariadb

pytestmark = [
    pytest.mark.mariadb,
    pytest.mark.skipif(not mariadb.is_wanted(), reason="only for make test-mariadb"),
]
# The shortest wait for a lock that MariaDB knows is one second.
SOON = Timeouts(3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    store = Datastore(databases.fresh_url("mariadb", tmp_path), limits=SOON)
    with store.write() as session:
        now = utc_now()
        session.add(User(id=1, name="Ann", external_id="external", created_at=now))
        session.add(User(id=2, name="Bob", created_at=now))
    yield store
    store.close()


def rename(session: Session, user_id: int, name: str) -> None:
    session.execute(update(User).where(User.id == user_id).values(name=name))


def names(store: Datastore) -> list[str]:
    with store.read() as session:
        return [session.get_one(User, user_id).name for user_id in (1, 2)]


def test_an_update_computes_all_columns_from_the_row_as_it_was(
    store: Datastore,
) -> None:
    swapped = {"external_id": User.name, "name": User.external_id}
    with store.write() as session:
        session.execute(update(User).where(User.id == 1).values(swapped))

    with store.read() as session:
        user = session.get_one(User, 1)
        assert (user.external_id, user.name) == ("Ann", "external")


def test_connections_read_what_has_been_committed(store: Datastore) -> None:
    with store.read() as session:
        level = session.scalar(text("SELECT @@SESSION.tx_isolation"))

    assert level == "READ-COMMITTED"


def test_of_two_transactions_in_a_deadlock_both_succeed(store: Datastore) -> None:
    both = threading.Barrier(2, timeout=30)
    tries: list[int] = []

    def work(first: int, second: int) -> Callable[[Session], None]:
        def run(session: Session) -> None:
            tries.append(first)
            rename(session, first, f"of {first}")
            if tries.count(first) == 1:
                both.wait()
            rename(session, second, f"of {first}")

        return run

    with ThreadPoolExecutor(2) as pool:
        works = [work(1, 2), work(2, 1)]
        for each in [pool.submit(store.write_grouped, work) for work in works]:
            each.result()

    assert len(tries) == 3
    assert names(store) in (["of 1", "of 1"], ["of 2", "of 2"])


def test_a_lock_that_comes_late_is_waited_for_again(store: Datastore) -> None:
    tries = 0
    is_second = threading.Event()

    def work(session: Session) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            is_second.set()
        rename(session, 1, "changed")

    with ThreadPoolExecutor(1) as pool:
        with store.write() as holder:
            rename(holder, 1, "held")
            waiting = pool.submit(store.write_grouped, work)
            assert is_second.wait(30)
        waiting.result()

    assert names(store)[0] == "changed"


def test_a_lock_that_does_not_come_is_an_outage(store: Datastore) -> None:
    tries = 0

    def work(session: Session) -> None:
        nonlocal tries
        tries += 1
        # So that the holder does not sleep for too long itself.
        holder.execute(text("SELECT 1"))
        rename(session, 1, "changed")

    with store.write() as holder:
        rename(holder, 1, "held")
        with pytest.raises(OperationalError):
            store.write_grouped(work)

    assert tries == 1 + len(outages.PAUSES_S)
    assert names(store)[0] == "held"
