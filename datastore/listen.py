"""Wake-ups by PostgreSQL: NOTIFY when a job is added, LISTEN in waiting workers."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from datastore import Datastore

CHANNEL = "bottlepost_jobs"


def is_possible(store: Datastore) -> bool:
    return store.engine.dialect.name == "postgresql"


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
        yield
        while True:
            for _ in connection.notifies(timeout=look_s, stop_after=1):
                pass
            yield
