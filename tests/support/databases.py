"""New, migrated databases of every kind that the project supports."""

import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from datastore import Datastore, outages, partitions
from datastore import mariadb as mariadb_rules
from datastore.migrations import upgrade
from models.base import utc_now
from tests.support import mariadb, pgbouncer, pgserver

T = TypeVar("T")

# MariaDB needs a server of the system (Debian: mariadb-server), so its tests run only
# with `make test-mariadb`.
MARIADB = [pytest.param("mariadb", marks=pytest.mark.mariadb)]
# PostgreSQL behind a pooler, only with `make test-pgbouncer`.
POOLED = "pgbouncer"
PGBOUNCER = [pytest.param(POOLED, marks=pytest.mark.pgbouncer)]
KINDS = (
    "sqlite",
    "postgresql",
    *(MARIADB if mariadb.is_wanted() else []),
    *(PGBOUNCER if pgbouncer.is_wanted() else []),
)

# PostgreSQL with a partition for every 20 jobs, until there are 40.
PARTITIONED = "partitioned"
WIDTH = 20

_numbers = itertools.count(1)
_starting = threading.Lock()


@contextmanager
def fresh(kind: str, directory: Path) -> Iterator[Datastore]:
    """A store on an empty database with all tables."""
    store = Datastore(fresh_url(kind, directory))
    try:
        yield store
    finally:
        store.close()


def fresh_url(kind: str, directory: Path) -> str:
    """The address of a new, migrated database."""
    if kind == "sqlite":
        shutil.copyfile(_files() / "migrated.db", directory / "test.db")
        return f"sqlite:///{directory}/test.db"
    if kind == "mariadb":
        return mariadb.copy_url(_template_of_mariadb(), f"test_{next(_numbers)}")
    if kind == POOLED:
        return pgbouncer.behind(fresh_url("postgresql", directory))
    if kind == PARTITIONED:
        return _partitioned(fresh_url("postgresql", directory))
    name = f"test_{next(_numbers)}"
    _run(f'CREATE DATABASE "{name}" TEMPLATE "{_template()}"')
    return _as_text(_postgresql().set(database=name))


def empty_url(kind: str, directory: Path, options: str = "") -> str:
    """The address of a new database without tables; `options` are for CREATE."""
    if kind == "sqlite":
        return f"sqlite:///{directory}/empty.db"
    name = f"test_{next(_numbers)}"
    if kind == "mariadb":
        return mariadb.fresh_url(name, options)
    _run(f'CREATE DATABASE "{name}" {options}')
    return _as_text(_postgresql().set(database=name))


@cache
def _files() -> Path:
    """A directory with a migrated SQLite database, which is copied."""
    directory = Path(tempfile.mkdtemp(prefix="bottlepost-sqlite-"))
    _migrated(f"sqlite:///{directory}/migrated.db")
    return directory


@cache
def _server() -> Any:
    """A real PostgreSQL server for the tests of this process; see `end`."""
    directory = tempfile.mkdtemp(prefix="bottlepost-postgresql-")
    with _starting:
        return pgserver.get_server(directory, cleanup_mode="delete")


def end() -> None:
    """Stop the server, and remove all our files."""
    if _files.cache_info().currsize:
        shutil.rmtree(_files())
    if _server.cache_info().currsize:
        _server().cleanup()


@cache
def _postgresql() -> URL:
    return make_url(_server().get_uri()).set(drivername="postgresql+psycopg")


@cache
def _template() -> str:
    """A migrated database: copying it takes a tenth of the time of a migration."""
    _run('CREATE DATABASE "migrated"')
    # A database with connections cannot be copied.
    _migrated(_as_text(_postgresql().set(database="migrated")))
    return "migrated"


@cache
def _template_of_mariadb() -> str:
    _migrated(mariadb.fresh_url("migrated"))
    return "migrated"


def _migrated(url: str) -> str:
    store = Datastore(url)
    upgrade(store)
    store.close()
    return url


def _partitioned(url: str) -> str:
    store = Datastore(url)
    with store.write() as session:
        partitions.create(session, WIDTH, utc_now())
    store.close()
    return url


def _run(statement: str) -> None:
    engine = create_engine(_postgresql(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _as_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def as_we_do(store: Datastore, work: Callable[[], T]) -> T:
    """Run a transaction again where the database may undo any of them.

    MariaDB locks more than the rows that a statement changes, so its deadlocks cannot
    be ruled out; the product runs its transactions again on every database.
    """
    return outages.retrying(work) if mariadb_rules.is_meant(store.url) else work()


def waiting_for_locks(store: Datastore) -> int:
    """How many transactions of PostgreSQL wait for a lock."""
    sql = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    with store.read() as session:
        return session.scalars(text(sql)).one()
