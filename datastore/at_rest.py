"""Whether anything is to be done for a job at the moment."""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from models.base import utc_now
from models.pushes import PushJob


def is_at_rest(session: Session, job_id: int) -> bool:
    """Nobody works on the job or on a shard of it, and none is due before later.

    So it has ended, or waits for its time or its next try; the outbox remembers.
    """
    now = utc_now()
    jobs = session.execute(
        select(PushJob.lease_owner, PushJob.due_at).where(
            or_(PushJob.id == job_id, PushJob.parent_id == job_id)
        )
    )
    return all(
        owner is None and (due_at is None or due_at > now) for owner, due_at in jobs
    )


def next_time(session: Session, job_id: int) -> datetime | None:
    """When a job at rest is due again; None when it has ended."""
    return session.scalar(select(PushJob.due_at).where(PushJob.id == job_id))
