"""Hosts of endpoints that name servers say do not exist, shared by all processes."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from models.pushes import MissingHost

# After this time without a look-up, the next one begins anew.
LONGEST_GAP = timedelta(days=1)
# A look-up after a shorter time changes nothing.
SHORTEST_GAP = timedelta(minutes=10)


def find(session: Session, host: str, now: datetime) -> datetime | None:
    """Since when the host has been missing; None if that has to be noted now."""
    row = session.get(MissingHost, host)
    if row is None or not now - SHORTEST_GAP < row.seen_at <= now:
        return None
    return row.since


def note(session: Session, host: str, now: datetime) -> datetime:
    """Note that a look-up found no such host; returns the time of the first one."""
    session.execute(delete(MissingHost).where(MissingHost.seen_at < now - LONGEST_GAP))
    row = session.get(MissingHost, host)
    if row is None:
        session.add(MissingHost(host=host, since=now, seen_at=now))
        return now
    row.seen_at = now
    return row.since


def forget(session: Session, host: str) -> None:
    """The host has been found."""
    session.execute(delete(MissingHost).where(MissingHost.host == host))
