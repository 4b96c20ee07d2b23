"""The devices of a job that have not accepted their push, and another try of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, or_, select, update
from sqlalchemy.orm import Session

from models.accounts import Device, User
from models.errors import Conflict
from models.pushes import AT_ONCE, PROCESSING, PushFailure, PushJob

MOST_SHOWN = 50


class FailedDevice(NamedTuple):
    """A device and the last outcome; the device may have been removed since."""

    id: int
    platform: str
    owner_id: int | None
    owner: str
    outcome: str
    # In the provider's words, which may hold an address of the owner.
    reason: str
    # None if it is not tried again.
    next_attempt_at: datetime | None


def of_job(
    session: Session, job_id: int, *, user_id: int | None = None
) -> list[FailedDevice]:
    """The first devices that have not accepted; with `user_id` only that user's."""
    query = (
        select(
            PushFailure.device_id,
            func.coalesce(Device.platform, ""),
            Device.user_id,
            func.coalesce(User.name, ""),
            PushFailure.outcome,
            PushFailure.reason,
            PushFailure.next_attempt_at,
        )
        .join(PushJob, PushJob.id == PushFailure.job_id)
        .outerjoin(Device, Device.id == PushFailure.device_id)
        .outerjoin(User, User.id == Device.user_id)
        .where(or_(PushJob.id == job_id, PushJob.parent_id == job_id))
        .order_by(PushFailure.device_id)
        .limit(MOST_SHOWN)
    )
    if user_id is not None:
        query = query.where(Device.user_id == user_id)
    return [FailedDevice(*row) for row in session.execute(query)]


def try_again(session: Session, job_id: int, now: datetime) -> list[int]:
    """Make all devices due that have not accepted; returns the jobs to be announced.

    Raises Conflict if there is none, or if the message has expired.
    """
    jobs = session.execute(
        select(PushJob.id, PushJob.finished_at, PushJob.lease_owner, PushJob.expires_at)
        .where(or_(PushJob.id == job_id, PushJob.parent_id == job_id))
        .order_by(PushJob.id)
        .with_for_update(key_share=True)
    ).all()
    if any(expires_at <= now for *_, expires_at in jobs):
        raise Conflict("The message has expired, so its push is not tried again.")
    # What an engine holds is tried by that engine.
    free = [each.id for each in jobs if each.lease_owner is None]
    failed = {job: int(final) for job, final in session.execute(_failures(free))}
    if not failed:
        raise Conflict("No device of this job can be tried again now.")
    for each in jobs:
        if each.id in failed:
            _reopen(session, each.id, final=failed[each.id], now=now)
    return sorted(failed)


def _failures(job_ids: Sequence[int]) -> Select[int, Any]:
    """The number of final failures of each job with failures of usable devices."""
    final = func.sum(case((PushFailure.next_attempt_at.is_(None), 1), else_=0))
    return (
        select(PushFailure.job_id, final)
        .join(Device, Device.id == PushFailure.device_id)
        .where(PushFailure.job_id.in_(job_ids), Device.disabled_at.is_(None))
        .group_by(PushFailure.job_id)
    )


def _reopen(session: Session, job_id: int, *, final: int, now: datetime) -> None:
    unsynchronized = {"synchronize_session": False}
    usable = select(Device.id).where(Device.disabled_at.is_(None))
    session.execute(
        update(PushFailure)
        .where(PushFailure.job_id == job_id, PushFailure.device_id.in_(usable))
        .values(next_attempt_at=now),
        execution_options=unsynchronized,
    )
    # A device that waits for its next try does not count as failed.
    session.execute(
        update(PushJob)
        .where(PushJob.id == job_id)
        .values(
            state=PROCESSING,
            failed=PushJob.failed - final,
            error=None,
            finished_at=None,
            due_at=AT_ONCE,
        ),
        execution_options=unsynchronized,
    )
