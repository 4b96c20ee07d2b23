"""Providers that refuse our credentials or are out of reach, for all processes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.pushes import RouteTrouble


def find_all(session: Session) -> Sequence[RouteTrouble]:
    """The routes whose pushes have to wait for the operator, oldest first."""
    return session.scalars(select(RouteTrouble).order_by(RouteTrouble.since)).all()


def reason_of(session: Session, route: str) -> str | None:
    """Why pushes of the route have to wait, if they have to."""
    return session.scalar(
        select(RouteTrouble.reason).where(RouteTrouble.route == route)
    )


def report(session: Session, route: str, reason: str | None, *, now: datetime) -> None:
    """Save the newest reason and the time of the first; None deletes the entry."""
    row = session.get(RouteTrouble, route)
    if reason is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(RouteTrouble(route=route, reason=reason, since=now))
    else:
        row.reason = reason
