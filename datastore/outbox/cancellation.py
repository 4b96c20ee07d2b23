"""Ends a job for an operator, beside the engines.

An engine that works on it finds that the lease is no longer its own at its next write,
and drops the job.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from datastore import Datastore, outbox
from datastore.outbox import fanout, leases
from models.base import utc_now
from models.errors import Conflict, NotFound
from models.pushes import PushFailure, PushJob

CANCELLED = "cancelled by the operator"
# Longer than the steps of a cancellation take.
LEASE = timedelta(seconds=30)
_UNSYNCHRONIZED = {"synchronize_session": False}


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
