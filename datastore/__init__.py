"""Connections and transactions; the queries are in the modules beside, one per noun."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from datastore import mariadb, postgresql, sqlite
from datastore.group_commit import GroupCommit
from datastore.lookups import (
    WAITING_CONNECTIONS,
    AutocommitLookups,
    OwnLookups,
    PooledLookups,
)
from datastore.pings import ping_idle
from datastore.prepared import Link, Prepared, Row, Run, first_of_each, link_to

T = TypeVar("T")

# Says in the URL of PostgreSQL that there is a pooler: `?pooler=transaction`.
POOLER = "pooler"

# Raised when the database does not answer. OperationalError also means a full disk, a
# lost lock or a missing table: in every case the request may succeed later, unchanged.
# OSError comes from the lock file of SQLite's writers.
OUTAGES = (OperationalError, InterfaceError, PoolTimeout, OSError)


class Datastore:
    """One database. It may be shared between threads, and by both sides of a fork.

    A commit survives a crash of the process. With `durable` it also survives a power
    cut. Without it, SQLite and PostgreSQL may lose the last commits then, but neither
    this process nor the senders wait while it writes to the disk.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.is_postgresql = self.url.get_backend_name() == "postgresql"
        self._has_pooler = POOLER in self.url.query
        self._server_url = self.url.difference_update_query([POOLER])
        self._options = self._engine_options()
        self.engine = create_engine(self._server_url, **self._options)
        if not self.is_sqlite:
            ping_idle(self.engine)
        self._write_lock = (
            sqlite.prepare(self.engine, durable=durable) if self.is_sqlite else None
        )
        if self.is_postgresql:
            is_hot = not durable and not self._has_pooler
            postgresql.prepare(self.engine, is_hot=is_hot)
        self._is_hasty = self.is_postgresql and not durable
        self._keep_connections()
        _open_stores.add(self)

    def _engine_options(self) -> dict[str, Any]:
        if mariadb.is_meant(self.url):
            return {"isolation_level": mariadb.ISOLATION}
        if self.is_postgresql:
            return postgresql.options(self.url.query.get(POOLER))
        return {}

    def _keep_connections(self) -> None:
        """Connections for the hot paths are kept beside the pool."""
        self._lookups: OwnLookups | PooledLookups = PooledLookups(self.engine)
        self._waiting = PooledLookups(self.engine)
        self._kept_writer = None
        if self._write_lock is not None:
            self._lookups = OwnLookups(self.engine)
            self._kept_writer = sqlite.KeptWriter(self.engine, self._write_lock)
            self._group_commit = GroupCommit(self._kept_writer.write)
        if self.is_postgresql:
            where = self._server_url, self._options
            self._lookups = AutocommitLookups(*where)
            self._waiting = AutocommitLookups(*where, WAITING_CONNECTIONS)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the data and writes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session
            # After a rollback, PostgreSQL's driver would prepare its statements anew.
            session.commit()

    def lookup(self) -> AbstractContextManager[Link]:
        """A connection for single prepared statements, without a transaction."""
        return self._lookups.link()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end of the block, undone by an exception."""
        with (
            self.engine.connect() as connection,
            # It joins the connection's transaction, and costs little if it is not used.
            Session(connection, expire_on_commit=False) as session,
        ):
            connection.execution_options(sqlite_begin="IMMEDIATE")
            # Held as briefly as possible, because other writers wait for it.
            lock = self._write_lock.held() if self._write_lock else nullcontext()
            with lock, connection.begin():
                session.info[Link] = link_to(connection)
                if self._is_hasty:
                    connection.exec_driver_sql(postgresql.HASTY)
                yield session
                if session.in_transaction():
                    session.commit()

    def write_grouped(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction, on SQLite together with those of other threads.

        `work` may be called twice; its first call is then rolled back.
        """
        if self._kept_writer is not None:
            return self._group_commit.run(work)
        with self.write() as session:
            return work(session)

    def run_at_once(self, prepared: Prepared, values: Mapping[str, Any]) -> Row | None:
        """Run and commit one statement of PostgreSQL; returns its first row."""
        with self.lookup() as link:
            return prepared.first(link, values)

    def run_in_turn(self, runs: Sequence[Run]) -> list[Row | None]:
        """Run statements of PostgreSQL in a transaction, in one round trip if possible.

        They may wait for a lock. Returns the first row of each.
        """
        with self._waiting.link() as link:
            return first_of_each(link, runs, pipelined=not self._has_pooler)

    def close(self) -> None:
        self._lookups.close()
        self._waiting.close()
        if self._kept_writer is not None:
            self._kept_writer.close()
        self.engine.dispose()
        if self._write_lock is not None:
            self._write_lock.close()

    def forget_connections(self) -> None:
        """In a forked child: leave them open, because the parent goes on using them."""
        self._lookups.forget()
        self._waiting.forget()
        self.engine.dispose(close=False)
        self._keep_connections()
        if self._write_lock is not None:
            self._write_lock.reset()


# Weak, because a hook cannot be unregistered from `os` and would keep each store alive.
_open_stores: WeakSet[Datastore] = WeakSet()


def _forget_all_connections() -> None:
    for store in list(_open_stores):
        store.forget_connections()


os.register_at_fork(after_in_child=_forget_all_connections)
