"""Wake-ups by PostgreSQL: NOTIFY when a job is added, LISTEN in waiting workers."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datastore import Datastore

CHANNEL = "bottlepost_jobs"


def is_possible(store: Datastore) -> bool:
    """Whether `ring` is heard."""
    return store.is_postgresql


def can_listen(store: Datastore) -> bool:
    """Whether notifications arrive; behind a pooler they do not."""
    return store.is_postgresql and not store.has_pooler


def ring(session: Session) -> None:
    """Wake every listener when the session's transaction commits."""
    session.execute(select(func.pg_notify(CHANNEL, "")))


def listen(store: Datastore, *, look_s: float) -> Iterator[None]:
    """Yields once when it begins to listen, at each wake-up, and every `look_s`.

    Uses a connection of its own; raises the driver's error when that is lost.
    """
    pooled = store.engine.raw_connection()
    connection: Any = pooled.driver_connection
    pooled.detach()
    with closing(pooled):
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}")
        limit_s = connection.limit_s
        yield
        while True:
            # It says itself how long it waits.
            connection.limit_s = None
            for _ in connection.notifies(timeout=look_s, stop_after=1):
                pass
            connection.limit_s = limit_s
            # A dead server is noticed only by who asks it something.
            connection.execute("SELECT 1")
            yield
