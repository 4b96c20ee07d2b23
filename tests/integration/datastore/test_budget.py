"""How many connections a web worker opens, and what is said about it at the start."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Integer, bindparam, literal, select, text

from datastore import Datastore, budget
from datastore.prepared import Prepared
from tests.support import databases

ONE = Prepared(select(literal(1, Integer) + bindparam("n", type_=Integer)))
THREADS = 64


@dataclass(frozen=True)
class Settings:
    """The settings of a web worker's database."""

    database_url: str
    database_timeout_s: float = 30.0
    database_connections: int = 9


@pytest.mark.parametrize("connections", [4, 5, 9, 17, 100])
def test_all_connections_are_shared_out(connections: int) -> None:
    shares = budget.share(connections)

    assert sum(shares) + budget.WATCHDOG == connections
    assert min(shares) >= 1


@pytest.mark.parametrize("connections", [4, 9])
def test_a_rush_opens_no_more_than_its_share(connections: int, tmp_path: Path) -> None:
    url = databases.fresh_url("postgresql", tmp_path)
    settings = Settings(url, database_connections=connections)
    started = threading.Barrier(THREADS)

    def ask(number: int) -> int:
        started.wait(30)
        with store.write() as session:
            session.execute(text("SELECT 1"))
        store.run_at_once(ONE, {"n": number})
        store.run_in_turn([(ONE, {"n": number})])
        with store.lookup() as link:
            return int(ONE.one(link, {"n": number})[0])

    with (
        closing(Datastore.of_web_worker(settings)) as store,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        # Nobody is refused; they wait for each other.
        assert sorted(pool.map(ask, range(THREADS))) == list(range(1, THREADS + 1))
        assert count(url) <= connections - budget.WATCHDOG


def count(url: str) -> int:
    sql = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with closing(Datastore(url)) as store, store.read() as session:
        return session.scalars(text(sql)).one()


def test_the_need_is_compared_with_the_limit(tmp_path: Path) -> None:
    with databases.fresh("postgresql", tmp_path) as store, store.read() as session:
        limit = session.scalars(text("SHOW max_connections")).one()
        fits = budget.describe(session, web_workers=8, connections=9, engines=8)
        too_few = budget.describe(session, web_workers=8, connections=15, engines=8)

    # Three are kept for administrators.
    assert limit == "100"
    assert fits is not None
    assert "up to 96 of this host" in fits
    assert fits.endswith("the server allows 97")
    assert too_few is not None
    assert "BOTTLEPOST_DATABASE_CONNECTIONS" in too_few


def test_nothing_is_said_about_sqlite(tmp_path: Path) -> None:
    with databases.fresh("sqlite", tmp_path) as store, store.read() as session:
        assert budget.describe(session, web_workers=8, connections=9, engines=8) is None
