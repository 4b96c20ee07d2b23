"""The platforms that processes of some host are set up for.

Long-running processes say so every few minutes, because an engine that would push may
not run at the moment.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datastore import Datastore
from models.pushes import LivePlatform

# How often a process tells its platforms, and for how long each of them then counts.
EVERY = timedelta(minutes=5)
LIVE_FOR = timedelta(minutes=15)


def announce(store: Datastore, platforms: Collection[str], now: datetime) -> None:
    """Say that this host pushes to these; most of the time nothing has to be written.

    Of the processes of all hosts, one writes for all of them.
    """
    with store.read() as session:
        known = find(session, now, within=EVERY * 0.8)
    if missing := set(platforms) - known:
        try:
            with store.write() as session:
                _write(session, missing, now)
        except IntegrityError:
            # Another process was first, and its rows will do.
            return


def find(
    session: Session, now: datetime, *, within: timedelta = LIVE_FOR
) -> frozenset[str]:
    """The platforms of live processes; a time ahead was told by a wrong clock."""
    return frozenset(
        session.scalars(
            select(LivePlatform.platform).where(
                LivePlatform.seen_at.between(now - within, now + within)
            )
        )
    )


def _write(session: Session, platforms: Collection[str], now: datetime) -> None:
    for platform in sorted(platforms):
        row = session.get(LivePlatform, platform)
        if row is None:
            session.add(LivePlatform(platform=platform, seen_at=now))
        else:
            row.seen_at = now
