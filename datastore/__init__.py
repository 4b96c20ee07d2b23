"""Connections and transactions; the queries are in the modules beside, one per noun."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar
from weakref import WeakSet

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from datastore import mariadb, postgresql, sqlite
from datastore.group_commit import GroupCommit

T = TypeVar("T")

# Raised when the database does not answer. OperationalError also means a full disk, a
# lost lock or a missing table: in every case the request may succeed later, unchanged.
# OSError comes from the lock file of SQLite's writers.
OUTAGES = (OperationalError, InterfaceError, PoolTimeout, OSError)


class Datastore:
    """One database. It may be shared between threads, and by both sides of a fork.

    A commit survives a crash of the process. With `durable` it also survives a power
    cut. Without it, SQLite may lose the last commits then, but senders do not wait
    while this process writes to the disk.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        options = {"isolation_level": mariadb.ISOLATION}
        self.engine = create_engine(
            self.url,
            # A connection that the server has closed is replaced before it is used.
            pool_pre_ping=not self.is_sqlite,
            **(options if mariadb.is_meant(self.url) else {}),
        )
        self._write_lock = (
            sqlite.prepare(self.engine, durable=durable) if self.is_sqlite else None
        )
        if self.url.get_backend_name() == "postgresql":
            postgresql.prepare(self.engine)
        self._group_commit = GroupCommit(self.write)
        _open_stores.add(self)

    @property
    def is_contended(self) -> bool:
        """Whether most of our recent writes had to wait for another writer."""
        return self._write_lock is not None and self._write_lock.is_contended

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the data and writes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end of the block, undone by an exception."""
        with (
            self.engine.connect() as connection,
            Session(connection, expire_on_commit=False) as session,
        ):
            connection.execution_options(sqlite_begin="IMMEDIATE")
            # Held as briefly as possible, because other writers wait for it.
            with self._write_lock.held() if self._write_lock else nullcontext():
                try:
                    session.connection()
                    yield session
                    session.commit()
                except BaseException:
                    session.rollback()
                    raise

    def write_grouped(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction, on SQLite together with those of other threads.

        `work` may be called twice; its first call is then rolled back.
        """
        if self._write_lock is not None:
            return self._group_commit.run(work)
        with self.write() as session:
            return work(session)

    def close(self) -> None:
        self.engine.dispose()
        if self._write_lock is not None:
            self._write_lock.close()

    def forget_connections(self) -> None:
        """In a forked child: leave them open, because the parent goes on using them."""
        self.engine.dispose(close=False)
        self._group_commit = GroupCommit(self.write)
        if self._write_lock is not None:
            self._write_lock.reset()


# Weak, because a hook cannot be unregistered from `os` and would keep each store alive.
_open_stores: WeakSet[Datastore] = WeakSet()


def _forget_all_connections() -> None:
    for store in list(_open_stores):
        store.forget_connections()


os.register_at_fork(after_in_child=_forget_all_connections)
