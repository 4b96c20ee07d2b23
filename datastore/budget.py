"""How many connections a process opens to a database server, and what for."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class Shares(NamedTuple):
    """The most connections of one Datastore, by use."""

    # For transactions.
    pooled: int
    # For lookups and sends, on PostgreSQL. More of them do not answer more: they take
    # the database's CPU from the engine. A send is two round trips, so four can send
    # 2,000 times a second to a database that is a millisecond away.
    lookups: int
    # For sends that wait until another transaction has unlocked their chat. They are
    # apart, so that however long they wait, no other request waits for them.
    waiting: int


# Of a Datastore that has the database for itself, such as that of a test.
AMPLE = Shares(15, 4, 10)
# Of a Datastore that few threads use; each opens a connection when it needs one.
SMALL = Shares(3, 1, 1)

# A web worker's watchdog looks at the outbox on a connection of its own.
WATCHDOG = 1
# An engine's: one that reads, one that writes, one for an import.
ENGINE = 3
# The fewest connections of a web worker: one of each kind.
FEWEST = WATCHDOG + 3


def share(connections: int) -> Shares:
    """Divide those of a web worker; half of them are for sends."""
    left = max(connections, FEWEST) - WATCHDOG
    waiting = max(1, left // 4)
    pooled = max(1, left // 4)
    return Shares(pooled, left - waiting - pooled, waiting)


def needed(*, web_workers: int, connections: int, engines: int) -> int:
    """The most connections that this host opens."""
    return web_workers * max(connections, FEWEST) + engines * ENGINE


def describe(
    session: Session, *, web_workers: int, connections: int, engines: int
) -> str | None:
    """A line about the need of this host and the server's limit; None on SQLite."""
    limit = allowed(session)
    if limit is None:
        return None
    need = needed(web_workers=web_workers, connections=connections, engines=engines)
    line = (
        f"database connections: up to {need} of this host ({web_workers} x"
        f" {connections} for web workers, {engines} x {ENGINE} for engines);"
        f" the server allows {limit}"
    )
    if need <= limit:
        return line
    return (
        f"{line}: too few. Lower BOTTLEPOST_DATABASE_CONNECTIONS, BOTTLEPOST_WORKERS"
        " or BOTTLEPOST_PUSH_SLOTS, raise max_connections, or use a pooler"
    )


def allowed(session: Session) -> int | None:
    """How many connections the server allows to all its clients that are no admins."""
    name = session.get_bind().dialect.name
    if name == "postgresql":
        reserved = text(
            "SELECT sum(CASE name WHEN 'max_connections' THEN 1 ELSE -1 END"
            " * setting::int) FROM pg_settings WHERE name IN ('max_connections',"
            " 'superuser_reserved_connections', 'reserved_connections')"
        )
        return int(session.scalars(reserved).one())
    if name in ("mysql", "mariadb"):
        return int(session.scalars(text("SELECT @@max_connections")).one())
    return None
