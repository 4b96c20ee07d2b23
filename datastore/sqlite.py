"""SQLite as an embedded server: WAL, full sync, and a lock between its writers."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from datastore.database_file import DatabaseFile
from datastore.prepared import Link, link_to
from datastore.write_turn import WAIT_S, BoundedLock, PatientLock, WriteLock

# If more of a writer's time has passed, SQLite waits only for the rest of it.
SLACK_S = 0.1
# Senders wait for a VACUUM of a file of this size for less than a second.
VACUUM_BYTES = 32 * 1024 * 1024
# How long the end of other connections' reads is waited for, with all senders.
READERS_WAIT_S = 0.1


class Writers:
    """Lets one transaction write at a time, and only to the file at the path."""

    def __init__(self, lock: WriteLock, file: DatabaseFile) -> None:
        self.lock = lock
        self.file = file

    @contextmanager
    def turn(self, connection: Connection, deadline: float | None) -> Iterator[None]:
        """A transaction of the connection; raises OperationalError after the deadline.

        The deadline is for its beginning.
        """
        self.lock.acquire(deadline)
        try:
            self.file.check()
            with self._begin(connection, deadline):
                yield
        finally:
            self.lock.release()

    def _begin(self, connection: Connection, deadline: float | None) -> Any:
        left_s = WAIT_S if deadline is None else deadline - time.monotonic()
        try:
            if left_s > WAIT_S - SLACK_S:
                transaction = connection.begin()
            else:
                with _shorter_wait(connection, left_s):
                    transaction = connection.begin()
        except OperationalError as problem:
            if is_busy(problem):
                # A program without our lock writes, and has done so all the time.
                self.lock.note(works=False)
            raise
        self.lock.note(works=True)
        return transaction


def is_busy(problem: DBAPIError) -> bool:
    """Whether another writer was the reason."""
    code = getattr(problem.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


def forget_deleted_bytes(engine: Engine, writers: Writers) -> bool:
    """Leave no copies of what was deleted, in the file and in its WAL.

    False if another connection is reading an older state at this moment. Splits of
    pages leave copies behind, which only VACUUM removes; in a large file that is left
    to the operator, because senders wait for it.
    """
    writers.lock.acquire(writers.lock.deadline())
    try:
        writers.file.check()
        with engine.connect() as connection, _shorter_wait(connection, READERS_WAIT_S):
            driver: Any = connection.connection.dbapi_connection
            (pages,) = driver.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = driver.execute("PRAGMA page_size").fetchone()
            if pages * page_bytes <= VACUUM_BYTES:
                driver.execute("VACUUM").close()
            (busy, *_) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
    finally:
        writers.lock.release()


@contextmanager
def _shorter_wait(connection: Connection, left_s: float) -> Iterator[None]:
    """SQLite waits no longer than that for another program."""
    driver: Any = connection.connection.dbapi_connection
    (usual_ms,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute(f"PRAGMA busy_timeout={max(0, round(left_s * 1000))}").close()
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout={usual_ms}").close()


def prepare(engine: Engine, *, durable: bool) -> Writers:
    """Configure every connection of the engine; returns its writers."""
    file = DatabaseFile(engine.url.database)
    file.watch(engine)
    # FULL waits for the disk at every commit: an answered message survives a power cut.
    synchronous = "FULL" if durable else "NORMAL"
    event.listen(engine, "connect", partial(_on_connect, synchronous))
    event.listen(engine, "begin", _on_begin)
    kind = BoundedLock if durable else PatientLock
    return Writers(kind(f"{engine.url.database}.lock"), file)


def _on_connect(synchronous: str, dbapi_connection: Any, _record: Any) -> None:
    # The driver's own BEGIN comes too late for a consistent read, so we send one.
    dbapi_connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "foreign_keys=ON",
        # What is deleted is overwritten, because users ask for that. Debian's SQLite
        # does so by default; others keep the bytes until they need the space.
        "secure_delete=ON",
        # On macOS fsync does not wait for the disk; elsewhere this changes nothing.
        "fullfsync=ON",
        "checkpoint_fullfsync=ON",
        # Only for writers without our lock, such as the sqlite3 shell.
        f"busy_timeout={round(WAIT_S * 1000)}",
        "cache_size=-4000",
        # 16 MB, so a quarter of the checkpoints, which senders wait for. A page that
        # has changed many times is written once.
        "wal_autocheckpoint=4000",
    ):
        dbapi_connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    """By the driver, because SQLAlchemy's own call costs more than the transaction."""
    kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    statement = f"BEGIN {kind}"
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(statement)
    except sqlite3.Error as problem:
        raise DBAPIError.instance(statement, None, problem, sqlite3.Error) from problem


class KeptWriter:
    """Write transactions of one thread at a time, in a session that is kept open.

    Opening a connection and a session, and closing them, takes longer than a send.
    """

    def __init__(self, engine: Engine, writers: Writers) -> None:
        self._engine = engine
        self._writers = writers
        self._kept: tuple[Connection, Session] | None = None

    @contextmanager
    def write(self, deadline: float | None) -> Iterator[Session]:
        """As `Datastore.write`; after an exception the next one gets a new session."""
        kept, self._kept = self._kept or self._open(), None
        connection, session = kept
        try:
            with self._writers.turn(connection, deadline):
                yield session
                was_used = session.in_transaction()
                if was_used:
                    session.commit()
        except BaseException:
            session.close()
            connection.close()
            raise
        if was_used:
            session.close()
        self._kept = kept

    def _open(self) -> tuple[Connection, Session]:
        connection = self._engine.connect()
        # The pool's connections are for everyone else.
        connection.detach()
        connection.execution_options(sqlite_begin="IMMEDIATE")
        session = Session(connection, expire_on_commit=False)
        session.info[Link] = link_to(connection)
        return connection, session

    def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept[0].close()
