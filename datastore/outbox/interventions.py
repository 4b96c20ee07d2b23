"""What an operator does to a job: try its devices again, or end it.

Both go beside the engines. An engine that works on a cancelled job finds that the lease
is no longer its own at its next write, and drops the job.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from datastore import Datastore, outbox
from datastore.outbox import fanout, leases
from models.base import utc_now
from models.errors import Conflict, NotFound
from models.pushes import AT_ONCE, PROCESSING, PushFailure, PushJob

CANCELLED = "cancelled by the operator"
# A dead token stays dead; its device may have a new one.
GONE = "gone"
# A message that is tried again is worth something for at least so long.
TIME_TO_LIVE = timedelta(hours=1)
# Longer than the steps of a cancellation take.
LEASE = timedelta(seconds=30)
_UNSYNCHRONIZED = {"synchronize_session": False}


def retry(session: Session, job_id: int, now: datetime) -> int:
    """Make the devices due that have not accepted; returns their number.

    A job that has ended begins again. Raises NotFound, or Conflict if an engine works
    on it.
    """
    jobs = _find(session, job_id)
    if any(job.lease_owner is not None for job in jobs):
        raise Conflict("The job is being pushed at this moment.")
    return sum(_retry_one(session, job, now) for job in jobs)


def _retry_one(session: Session, job: PushJob, now: datetime) -> int:
    is_final = PushFailure.next_attempt_at.is_(None)
    mine = and_(PushFailure.job_id == job.id, PushFailure.outcome != GONE)
    total, final = session.execute(
        select(func.count(), func.sum(case((is_final, 1), else_=0))).where(mine)
    ).one()
    if not total:
        return 0
    session.execute(
        update(PushFailure).where(mine).values(next_attempt_at=now),
        execution_options=_UNSYNCHRONIZED,
    )
    job.state = PROCESSING
    job.finished_at = None
    job.error = None
    job.failed -= int(final or 0)
    job.expires_at = max(job.expires_at, now + TIME_TO_LIVE)
    job.due_at = None if job.waits_for is not None else AT_ONCE
    session.flush()
    return int(total)


def cancel(store: Datastore, job_id: int) -> int:
    """End a job now; returns how many devices had not been pushed to, as far as known.

    Raises NotFound, or Conflict if it has ended.
    """
    owner = f"operator-{secrets.token_hex(8)}"
    with store.write() as session:
        open_jobs = [job for job in _find(session, job_id) if job.finished_at is None]
        if not open_jobs:
            raise Conflict("The job has ended.")
        ids = [job.id for job in open_jobs]
        for job in open_jobs:
            job.lease_owner, job.due_at = owner, utc_now() + LEASE
            job.started_at = job.started_at or utc_now()
        session.flush()
        claims = outbox.load(session, owner, ids)
    for claim in claims:
        if not claim.fanned_out and not claim.is_deleted:
            # The message counts as unread for those who get no push of it.
            fanout.reopen_rest(store, claim, after=claim.cursor)
    with store.write() as session:
        return sum(_end(session, owner, number) for number in ids)


def _end(session: Session, owner: str, job_id: int) -> int:
    now = utc_now()
    # It lets the jobs behind it pass.
    leases.postpone(
        session,
        owner,
        job_id,
        error=CANCELLED,
        until=None,
        now=now,
        lease_until=now + LEASE,
    )
    dropped: Any = session.execute(
        update(PushFailure)
        .where(PushFailure.job_id == job_id, PushFailure.next_attempt_at.is_not(None))
        .values(next_attempt_at=None),
        execution_options=_UNSYNCHRONIZED,
    )
    job = session.get(PushJob, job_id, populate_existing=True)
    if job is None or job.finished_at is None:
        # An engine was quicker, because the lease had ended.
        return 0
    known = job.accepted + job.failed
    left = int(dropped.rowcount) if job.total is None else job.total - known
    job.failed += left
    session.flush()
    return left


def _find(session: Session, job_id: int) -> Sequence[PushJob]:
    """The job and its shards, locked; raises NotFound."""
    jobs = session.scalars(
        select(PushJob)
        .where(or_(PushJob.id == job_id, PushJob.parent_id == job_id))
        .order_by(PushJob.id)
        .with_for_update()
    ).all()
    if not jobs or jobs[0].id != job_id:
        raise NotFound("There is no such job.")
    return jobs
