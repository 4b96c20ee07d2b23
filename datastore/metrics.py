"""What a monitoring system is told: the queue as it is, and the last hour's pushes."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from models.accounts import Device
from models.pushes import COMPLETED, FAILED, PushFailure, PushJob

# A provider may invent reasons, and each of them is a series for ever.
MOST_REASONS = 100


class Ended(NamedTuple):
    """Jobs of one state, and what became of the pushes of theirs."""

    state: str
    jobs: int
    accepted: int
    failed: int


class Refused(NamedTuple):
    """Pushes that were not accepted, for one reason."""

    platform: str
    outcome: str
    reason: str
    pushes: int


def oldest_due_age_s(session: Session, now: datetime) -> float:
    """How long the job that has waited the longest could have been claimed."""
    oldest = session.scalar(
        select(func.min(PushJob.due_at)).where(
            PushJob.due_at <= now, PushJob.lease_owner.is_(None)
        )
    )
    return 0.0 if oldest is None else (now - oldest).total_seconds()


def ended(session: Session, first_job: int) -> list[Ended]:
    """Of the jobs from that one on; shards count for their pushes only."""
    rows = session.execute(
        select(
            PushJob.state,
            func.sum(case((PushJob.parent_id.is_(None), 1), else_=0)),
            func.sum(PushJob.accepted),
            func.sum(PushJob.failed),
        )
        .where(PushJob.id >= first_job, PushJob.state.in_((COMPLETED, FAILED)))
        .group_by(PushJob.state)
    )
    found = {state: Ended(state, *map(int, sums)) for state, *sums in rows}
    return [found.get(state, Ended(state, 0, 0, 0)) for state in (COMPLETED, FAILED)]


def refused(session: Session, first_job: int) -> list[Refused]:
    """The most frequent first; a device that is gone has no platform any more."""
    platform = func.coalesce(Device.platform, "")
    count = func.count()
    rows = session.execute(
        select(platform, PushFailure.outcome, PushFailure.reason, count)
        .outerjoin(Device, Device.id == PushFailure.device_id)
        .where(PushFailure.job_id >= first_job)
        .group_by(platform, PushFailure.outcome, PushFailure.reason)
        .order_by(count.desc(), PushFailure.reason)
        .limit(MOST_REASONS)
    )
    return [Refused(*row) for row in rows]
