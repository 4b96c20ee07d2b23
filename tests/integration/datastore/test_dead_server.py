"""A database server that says nothing more: each statement ends all the same."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Integer, bindparam, literal, select, text
from sqlalchemy.orm import Session

from datastore import OUTAGES, Datastore, listen
from datastore.prepared import Prepared
from datastore.timeouts import Timeouts
from tests.support import databases, frozen_proxy
from tests.support.frozen_proxy import FrozenProxy

SERVERS = tuple(kind for kind in databases.KINDS if kind != "sqlite")
POOLED = "postgresql?pooler=transaction"
LIMITS = Timeouts(1.0)
ONE = Prepared(select(literal(1, Integer) + bindparam("n", type_=Integer)))
N = {"n": 1}


def select_one(session: Session) -> int:
    return session.scalars(text("SELECT 1")).one()


def read(store: Datastore) -> None:
    with store.read() as session:
        select_one(session)


def write(store: Datastore) -> None:
    with store.write() as session:
        select_one(session)


def write_grouped(store: Datastore) -> None:
    store.write_grouped(select_one)


def look_up(store: Datastore) -> None:
    with store.lookup() as link:
        ONE.first(link, N)


def run_at_once(store: Datastore) -> None:
    store.run_at_once(ONE, N)


def run_in_turn(store: Datastore) -> None:
    store.run_in_turn([(ONE, N), (ONE, N)])


EVERYWHERE = (read, write, write_grouped, look_up)


@contextmanager
def proxied(kind: str, directory: Path) -> Iterator[tuple[Datastore, FrozenProxy]]:
    """A new database behind a proxy."""
    kind, _, option = kind.partition("?")
    url = databases.fresh_url(kind, directory)
    with frozen_proxy.forwarding(frozen_proxy.target_of(url)) as proxy:
        behind = frozen_proxy.through(url, proxy)
        if option:
            behind += ("&" if "?" in behind else "?") + option
        behind += ("&" if "?" in behind else "?") + "connect_timeout=2"
        with closing(Datastore(behind, limits=LIMITS)) as store:
            yield store, proxy


@pytest.mark.parametrize("kind", [*SERVERS, POOLED])
@pytest.mark.parametrize("way", EVERYWHERE)
def test_a_silent_server_is_an_outage_and_no_hang(
    kind: str, way: Callable[[Datastore], None], tmp_path: Path
) -> None:
    with proxied(kind, tmp_path) as (store, proxy):
        way(store)
        opened = proxy.accepted

        proxy.freeze()
        with pytest.raises(OUTAGES):
            way(store)
        # A new connection gets no answer either.
        with pytest.raises(OUTAGES):
            way(store)
        proxy.thaw(cut=True)

        way(store)
        assert proxy.accepted > opened


@pytest.mark.parametrize("kind", ["postgresql", POOLED])
@pytest.mark.parametrize("way", [run_at_once, run_in_turn])
def test_a_silent_postgresql_is_an_outage_for_a_send(
    kind: str, way: Callable[[Datastore], None], tmp_path: Path
) -> None:
    test_a_silent_server_is_an_outage_and_no_hang(kind, way, tmp_path)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_commit_that_is_not_answered_is_an_outage(kind: str, tmp_path: Path) -> None:
    with proxied(kind, tmp_path) as (store, proxy):

        def freeze_before_commit(session: Session) -> None:
            select_one(session)
            proxy.freeze()

        with pytest.raises(OUTAGES):
            store.write_grouped(freeze_before_commit)
        proxy.thaw(cut=True)

        write(store)


def test_a_backend_that_is_stopped_is_an_outage(tmp_path: Path) -> None:
    """As on a machine without memory or CPU: the kernel takes what we send."""
    url = databases.fresh_url("postgresql", tmp_path)

    def ask_when_stopped(session: Session) -> None:
        pid = session.scalars(text("SELECT pg_backend_pid()")).one()
        os.kill(pid, signal.SIGSTOP)
        try:
            select_one(session)
        finally:
            os.kill(pid, signal.SIGCONT)

    with closing(Datastore(url, limits=LIMITS)) as store:
        with pytest.raises(OUTAGES):
            store.write_grouped(ask_when_stopped)

        write(store)


SLEEP = {"mariadb": "SELECT SLEEP(1.6)"}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_slow_statement_ends_on_the_server(kind: str, tmp_path: Path) -> None:
    with (
        closing(Datastore(databases.fresh_url(kind, tmp_path), limits=LIMITS)) as store,
        store.patient() as patient,
    ):
        with pytest.raises(OUTAGES), store.read() as session:
            session.execute(text(SLEEP.get(kind, "SELECT pg_sleep(1.6)")))

        with patient.write() as session:
            session.execute(text(SLEEP.get(kind, "SELECT pg_sleep(1.6)")))
            select_one(session)


def test_a_transaction_behind_a_pooler_carries_its_own_limits(tmp_path: Path) -> None:
    url = databases.fresh_url("postgresql", tmp_path)
    url += ("&" if "?" in url else "?") + "pooler=transaction"
    with closing(Datastore(url, limits=LIMITS)) as store:
        with store.read() as session:
            inside = session.scalars(text("SHOW statement_timeout")).one()
            driver = session.connection().connection.driver_connection
        # Nothing is left for the client that gets the server's connection next.
        after = driver.execute("SHOW statement_timeout").fetchone()

        assert (inside, after) == ("1s", ("0",))


def test_a_url_may_set_its_own_limits(tmp_path: Path) -> None:
    url = databases.fresh_url("postgresql", tmp_path)
    url += ("&" if "?" in url else "?") + "keepalives_idle=77"
    with closing(Datastore(url)) as store, store.read() as session:
        driver = session.connection().connection.driver_connection
        parameters = driver.info.get_parameters()

    assert parameters["keepalives_idle"] == "77"
    assert int(parameters["tcp_user_timeout"]) > 0
    assert int(parameters["connect_timeout"]) > 0


def test_a_listener_notices_a_silent_server(tmp_path: Path) -> None:
    listening, heard = threading.Event(), threading.Event()

    def hear(store: Datastore) -> None:
        try:
            for _ in listen.listen(store, look_s=0.2):
                listening.set()
        except Exception:
            heard.set()

    with proxied("postgresql", tmp_path) as (store, proxy):
        thread = threading.Thread(target=hear, args=(store,))
        thread.start()
        assert listening.wait(30)

        proxy.freeze()

        assert heard.wait(30)
        thread.join(30)


@pytest.mark.parametrize("kind", ["postgresql", POOLED])
def test_a_patient_statement_ends_when_the_server_is_gone(
    kind: str, tmp_path: Path
) -> None:
    with proxied(kind, tmp_path) as (store, proxy), store.patient() as patient:

        def freeze_and_ask(session: Session) -> None:
            select_one(session)
            proxy.freeze()
            select_one(session)

        with pytest.raises(OUTAGES):
            patient.write_grouped(freeze_and_ask)
        proxy.thaw(cut=True)

        write(patient)
