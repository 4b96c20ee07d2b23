"""Connections for single statements that read, without a transaction."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from datastore.prepared import Link


class PooledLookups:
    """Connections of the engine's pool that send no BEGIN and no ROLLBACK."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def link(self) -> Iterator[Link]:
        connection = self._engine.raw_connection()
        driver, dialect = connection.dbapi_connection, self._engine.dialect
        assert driver is not None  # noqa: S101 - it has just been checked out
        link = Link(driver, dialect, connection.invalidate)
        # Only here: MariaDB would need another round trip for it.
        if dialect.name == "postgresql":
            dialect.set_isolation_level(driver, "AUTOCOMMIT")
        try:
            yield link
        finally:
            if dialect.name == "postgresql" and connection.is_valid:
                dialect.reset_isolation_level(driver)
            connection.close()

    def close(self) -> None:
        """The pool closes its connections itself."""


class OwnLookups:
    """SQLite's: beside the pool, which takes longer than such a statement.

    There are as many as were in use at once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: deque[Link] = deque()

    @contextmanager
    def link(self) -> Iterator[Link]:
        try:
            link = self._idle.pop()
        except IndexError:
            link = self._open()
        try:
            yield link
        finally:
            self._idle.append(link)

    def _open(self) -> Link:
        connection = self._engine.raw_connection()
        driver = connection.dbapi_connection
        connection.detach()
        return Link(driver, self._engine.dialect, lambda _problem: None)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().driver.close()
