"""Connections for single statements that read, without a transaction."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from datastore.prepared import Link, link_to


class PooledLookups:
    """Connections of the engine's pool that send no BEGIN and no ROLLBACK."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def link(self) -> Iterator[Link]:
        # Not `raw_connection`, whose errors are the driver's.
        with self._engine.connect() as connection:
            link = link_to(connection)
            # Only here: MariaDB would need another round trip for it.
            has_autocommit = link.dialect.name == "postgresql"
            if has_autocommit:
                link.dialect.set_isolation_level(link.driver, "AUTOCOMMIT")
            try:
                yield link
            finally:
                if has_autocommit and not connection.invalidated:
                    link.dialect.reset_isolation_level(link.driver)

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
        connection = self._engine.connect()
        connection.detach()
        return link_to(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().driver.close()
