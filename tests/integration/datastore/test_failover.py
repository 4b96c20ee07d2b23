"""A server that changes its role, or undoes transactions; all kinds of statements."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, delete, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InternalError, OperationalError

from datastore import OUTAGES, Datastore, outages, writable
from datastore.prepared import Prepared, link_of
from models.accounts import User
from models.base import utc_now
from tests.support import databases

POOLED = "pooler=transaction"


@pytest.fixture(params=["", POOLED], ids=["direct", "pooled"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found = databases.fresh_url("postgresql", tmp_path)
    return found if not request.param else f"{found}&{request.param}"


@pytest.fixture
def store(url: str) -> Iterator[Datastore]:
    with closing(Datastore(url)) as store:
        with store.write() as session:
            session.add(User(name="Ann", created_at=utc_now()))
        yield store


def run(url: str, *statements: str) -> None:
    """As the administrator, on a connection that is closed at once."""
    plain = make_url(url).difference_update_query(["pooler"])
    engine = create_engine(plain, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # The database may be read-only by default.
        for statement in ("SET default_transaction_read_only = off", *statements):
            connection.execute(text(statement))
    engine.dispose()


RENAME = Prepared(update(User).values(name="Bob").returning(User.id))


def write(store: Datastore) -> None:
    with store.write() as session:
        session.execute(update(User).values(name="Bob"))


def write_orm(store: Datastore) -> None:
    with store.write() as session:
        for user in session.scalars(select(User)):
            user.name = f"{user.name} again"


def write_prepared(store: Datastore) -> None:
    with store.write() as session:
        RENAME.count(link_of(session), {})


def write_grouped(store: Datastore) -> None:
    store.write_grouped(lambda session: session.execute(delete(User)))


def run_at_once(store: Datastore) -> None:
    store.run_at_once(RENAME, {})


def run_in_turn(store: Datastore) -> None:
    store.run_in_turn([(RENAME, {}), (RENAME, {})])


WRITES = [write, write_orm, write_prepared, write_grouped, run_at_once, run_in_turn]
Way = Callable[[Datastore], None]


@pytest.mark.parametrize("way", WRITES)
def test_a_connection_to_a_standby_is_dropped(
    way: Way, store: Datastore, url: str
) -> None:
    name = make_url(url).database
    # Each kind of connection is open now.
    for warm_up in WRITES[::-1]:
        warm_up(store)
    with store.write() as session:
        session.add(User(name="Ann", created_at=utc_now()))
    run(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _end_all(url)
    # First they are closed, then they lead to what is read-only.
    for _ in range(3):
        with pytest.raises(OUTAGES):
            way(store)
    run(url, f"ALTER DATABASE {name} SET default_transaction_read_only = off")

    way(store)


def test_a_standby_is_not_ready(store: Datastore, url: str) -> None:
    name = make_url(url).database
    check(store)
    run(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _end_all(url)

    with pytest.raises(OUTAGES):
        check(store)
    with pytest.raises(outages.ReadOnly):
        check(store)
    run(url, f"ALTER DATABASE {name} SET default_transaction_read_only = off")

    check(store)


def check(store: Datastore) -> None:
    with store.read() as session:
        writable.check(session)


@pytest.mark.parametrize("way", WRITES)
def test_an_ended_connection_is_an_outage_once(
    way: Way, store: Datastore, url: str
) -> None:
    way(store)
    _end_all(url)

    with pytest.raises(OUTAGES):
        way(store)

    way(store)


def _end_all(url: str) -> None:
    run(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


# A sequence keeps its value when its transaction is undone.
TROUBLE = (
    "CREATE SEQUENCE troubles",
    """
    CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('troubles') <= {times} THEN
            RAISE EXCEPTION 'try again' USING ERRCODE = '{state}';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER trouble AFTER UPDATE OR DELETE ON "user"
    DEFERRABLE INITIALLY {when} FOR EACH ROW EXECUTE FUNCTION trouble()
    """,
)
RETRIED = [run_at_once, run_in_turn, write_grouped]


def make_trouble(url: str, **values: object) -> None:
    run(url, *(step.format(**values) for step in TROUBLE))


@pytest.mark.parametrize(
    ("state", "when"),
    [("40001", "IMMEDIATE"), ("40P01", "IMMEDIATE"), ("40001", "DEFERRED")],
)
def test_a_transaction_that_was_undone_is_run_again(
    state: str, when: str, store: Datastore, url: str
) -> None:
    make_trouble(url, times=2, state=state, when=when)
    for way in RETRIED if when == "IMMEDIATE" else (run_at_once, write_grouped):
        run(url, "ALTER SEQUENCE troubles RESTART")

        way(store)


def test_a_commit_that_fails_leaves_no_broken_connection(
    store: Datastore, url: str
) -> None:
    """The driver loses count when the commit at the end of a pipeline fails."""
    make_trouble(url, times=10, state="40001", when="DEFERRED")
    for _ in range(2):
        with pytest.raises(OUTAGES):
            run_in_turn(store)
    run(url, "SELECT setval('troubles', 10)")

    run_in_turn(store)


def test_a_transaction_is_not_run_again_for_ever(store: Datastore, url: str) -> None:
    make_trouble(url, times=1000, state="40001", when="IMMEDIATE")
    for way in RETRIED:
        run(url, "ALTER SEQUENCE troubles RESTART")

        with pytest.raises(OperationalError):
            way(store)

        with store.read() as session:
            tried = session.scalar(text("SELECT last_value FROM troubles"))
        assert tried == 1 + len(outages.PAUSES_S)


def test_other_errors_are_not_tried_again(store: Datastore, url: str) -> None:
    make_trouble(url, times=1000, state="XX000", when="IMMEDIATE")

    with pytest.raises(InternalError):
        write_grouped(store)

    with store.read() as session:
        assert session.scalar(text("SELECT last_value FROM troubles")) == 1


STATES = ("25006", "57P01", "57P02", "57P03", "08006", "08003")


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_ends_a_connection_is_an_outage(
    state: str, store: Datastore, url: str
) -> None:
    make_trouble(url, times=1, state=state, when="IMMEDIATE")
    for way in WRITES[::-1]:
        with store.write() as session:
            session.add(User(name="Ann", created_at=utc_now()))
        run(url, "ALTER SEQUENCE troubles RESTART")
        before = _all(url)

        with pytest.raises(OUTAGES):
            way(store)
        way(store)

        assert _all(url) - before


def _all(url: str) -> set[int]:
    """The server's processes for the connections to this database."""
    engine = create_engine(make_url(url).difference_update_query(["pooler"]))
    with engine.connect() as connection:
        found = connection.scalars(
            text(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        pids = set(found)
    engine.dispose()
    return pids
