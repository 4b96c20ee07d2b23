"""Connections and transactions; the queries live beside, one file per noun."""

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

from datastore import mariadb, sqlite
from datastore.group_commit import GroupCommit

T = TypeVar("T")

# Raised when the database does not answer. OperationalError also means a full disk, a
# lost lock or a missing table: in every case the request may succeed later, unchanged.
# OSError comes from the lock file on which the writers of SQLite queue.
OUTAGES = (OperationalError, InterfaceError, PoolTimeout, OSError)


class Datastore:
    """One database. Safe to share between threads, and over a fork.

    What is committed survives a crash of the process. With `durable` it also survives
    a power cut; without, SQLite may then forget the last moments, and senders do not
    wait for the disk behind this process.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        options = {"isolation_level": mariadb.ISOLATION}
        self.engine = create_engine(
            self.url,
            # A connection that the server closed meanwhile is replaced, not handed out.
            pool_pre_ping=not self.is_sqlite,
            **(options if mariadb.is_meant(self.url) else {}),
        )
        self._queue = (
            sqlite.prepare(self.engine, durable=durable) if self.is_sqlite else None
        )
        self._group_commit = GroupCommit(self.write)
        _open_stores.add(self)

    @property
    def is_crowded(self) -> bool:
        """Whether others want to write about as often as there is a turn to be had."""
        return self._queue is not None and self._queue.is_crowded

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
            # What can be done before the turn and after it keeps nobody waiting.
            with self._queue.turn() if self._queue else nullcontext():
                try:
                    session.connection()
                    yield session
                    session.commit()
                except BaseException:
                    session.rollback()
                    raise

    def write_grouped(self, work: Callable[[Session], T]) -> T:
        """The same for a function, with those of other threads where turns are scarce.

        `work` may be called a second time, after the first has been undone.
        """
        if self._queue is not None:
            return self._group_commit.run(work)
        with self.write() as session:
            return work(session)

    def close(self) -> None:
        self.engine.dispose()
        if self._queue is not None:
            self._queue.close()

    def forget_connections(self) -> None:
        """In a forked child: the parent goes on using them, so they stay open."""
        self.engine.dispose(close=False)
        self._group_commit = GroupCommit(self.write)
        if self._queue is not None:
            self._queue.forget()


# What is registered with os cannot be taken back, so it must not hold a store.
_open_stores: WeakSet[Datastore] = WeakSet()


def _forget_all_connections() -> None:
    for store in list(_open_stores):
        store.forget_connections()


os.register_at_fork(after_in_child=_forget_all_connections)
