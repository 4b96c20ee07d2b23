"""Leases of jobs: the holder renews its lease, or gives the job back.

A lease lasts BOTTLEPOST_LEASE_S (30 s). Every recorded step extends it, and the
engine's recorder (`Recorder.keep_leases`) renews all leases every third of that.
Every write checks the owner's name, so an engine that was presumed dead changes
nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.orm import Session

from datastore.outbox import order
from models.pushes import FAILED, PushJob

_OURS = and_(
    PushJob.id.in_(bindparam("ids", expanding=True)),
    PushJob.lease_owner == bindparam("owner"),
)
# A claimed job that waits for another one of ours has no due time.
_RENEW = (
    update(PushJob)
    .where(_OURS, PushJob.due_at.is_not(None))
    .values(due_at=bindparam("until"))
)
_OURS_LOCKED = (
    select(PushJob.id).where(_OURS).order_by(PushJob.id).with_for_update(key_share=True)
)


def renew(
    session: Session, owner: str, job_ids: Sequence[int], lease_until: datetime
) -> set[int]:
    """Extend our leases; returns the jobs that are still ours."""
    values = {"ids": job_ids, "owner": owner, "until": lease_until}
    session.connection().execute(_RENEW, values)
    ours = session.connection().execute(_OURS_LOCKED, {"ids": job_ids, "owner": owner})
    return set(ours.scalars())


def held_by(session: Session, owner: str) -> Sequence[int]:
    """All jobs that are leased to the owner."""
    return session.scalars(select(PushJob.id).where(PushJob.lease_owner == owner)).all()


def postpone(
    session: Session,
    owner: str,
    job_id: int,
    *,
    attempts: int | None = None,
    error: str,
    until: datetime | None,
    now: datetime,
    lease_until: datetime,
) -> None:
    """Give back a job that fails by itself; without `until` it ends as failed.

    Its chat does not wait for it any more. `attempts` says which claim of the job is
    given back; None means any.
    """
    values: dict[str, Any] = {"lease_owner": None, "due_at": until, "error": error}
    if until is None:
        values |= {"state": FAILED, "finished_at": now}
    if order.give_way(session, owner, job_id, attempts, lease_until):
        session.execute(
            update(PushJob)
            .where(PushJob.id == job_id)
            .values(values)
            .execution_options(synchronize_session=False)
        )
