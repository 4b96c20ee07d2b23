"""Connections for single statements, without a transaction."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Engine, create_engine

from datastore.prepared import Link, link_to


class PooledLookups:
    """Connections of an engine's pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def link(self) -> Iterator[Link]:
        # Not `raw_connection`, whose errors are the driver's.
        with self._engine.connect() as connection:
            yield link_to(connection)

    def close(self) -> None:
        """The owner of the engine closes its connections."""

    def forget(self) -> None:
        """In a forked child: leave them open."""


class AutocommitLookups(PooledLookups):
    """PostgreSQL's: a pool of connections that send no BEGIN and no COMMIT.

    Each statement is a transaction of its own, so it may also write.
    """

    def __init__(
        self,
        url: URL,
        options: Mapping[str, Any],
        prepare: Callable[[Engine], None],
        size: int,
    ) -> None:
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            # There is nothing to roll back.
            pool_reset_on_return=None,
            # Few connections serve most requests, and have their statements prepared.
            pool_use_lifo=True,
            # One above the pool's size would be opened and closed for each request.
            pool_size=size,
            max_overflow=0,
            hide_parameters=True,
            **options,
        )
        prepare(engine)
        super().__init__(engine)

    def close(self) -> None:
        self._engine.dispose()

    def forget(self) -> None:
        self._engine.dispose(close=False)


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

    def forget(self) -> None:
        """In a forked child: leave them open."""
        self._idle.clear()
