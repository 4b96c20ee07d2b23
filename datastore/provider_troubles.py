"""Providers that refuse our credentials or are out of reach, for all processes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.accounts import Device
from models.pushes import PushFailure, PushJob, RouteTrouble


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


def forget(session: Session, before: datetime) -> int:
    """Delete troubles from before then for which no device waits; returns the number.

    The devices of a host that is gone have been removed, and no push is accepted there
    that would end its trouble. One that goes on is reported again by the next push.
    """
    old = session.scalars(select(RouteTrouble).where(RouteTrouble.since < before)).all()
    over = [each.route for each in old if not _is_waited_for(session, each.route)]
    if over:
        session.execute(delete(RouteTrouble).where(RouteTrouble.route.in_(over)))
    return len(over)


def _is_waited_for(session: Session, route: str) -> bool:
    waiting = (
        select(PushFailure.device_id)
        .join(PushJob, PushJob.id == PushFailure.job_id)
        .join(Device, Device.id == PushFailure.device_id)
        .where(
            # Of a job that waits for its next try, or is leased.
            PushJob.due_at.is_not(None),
            PushFailure.next_attempt_at.is_not(None),
            Device.platform == route.partition(" ")[0],
        )
    )
    return session.scalar(waiting.limit(1)) is not None
