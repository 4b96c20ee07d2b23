"""The devices of a job that have not accepted their push, and another try of them."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import case, func, literal, or_, select, update
from sqlalchemy.orm import Session

from datastore import Datastore
from models.accounts import Device, User
from models.errors import Conflict
from models.pushes import AT_ONCE, PROCESSING, PushFailure, PushJob

MOST_SHOWN = 50
# Devices that are made due in one transaction.
DEVICES_AT_ONCE = 1000
UNSYNCHRONIZED = {"synchronize_session": False}
DUE_AT = PushJob.due_at.type


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


def try_again(store: Datastore, job_id: int, now: datetime) -> list[int]:
    """Make all devices due that have not accepted; returns the jobs to be announced.

    Disabled devices are left out. Raises Conflict if no device is left, or if the
    message has expired. In short transactions, so that senders need not wait; a job is
    reopened by the last one, and the same request again goes on with a rest.
    """
    with store.read() as session:
        shards = _free_shards(session, job_id, now)
    for shard in shards:
        after: int | None = 0
        while after is not None:
            with store.write() as session:
                after = _make_due(session, shard, after, now)
    with store.write() as session:
        reopened = [shard for shard in shards if _reopen(session, shard)]
    if not reopened:
        raise Conflict("No device of this job can be tried again now.")
    return reopened


def _free_shards(session: Session, job_id: int, now: datetime) -> list[int]:
    """The job and its shards, but those that an engine tries at this moment."""
    shards = session.execute(
        select(PushJob.id, PushJob.lease_owner, PushJob.expires_at)
        .where(or_(PushJob.id == job_id, PushJob.parent_id == job_id))
        .order_by(PushJob.id)
    ).all()
    if any(expires_at <= now for *_, expires_at in shards):
        raise Conflict("The message has expired, so its push is not tried again.")
    return [shard for shard, owner, _ in shards if owner is None]


def _lock_free(session: Session, job_id: int) -> bool:
    """Lock the job; False if an engine has it now."""
    return (
        session.scalar(
            select(PushJob.id)
            .where(PushJob.id == job_id, PushJob.lease_owner.is_(None))
            .with_for_update(key_share=True)
        )
        is not None
    )


def _make_due(session: Session, job_id: int, after: int, now: datetime) -> int | None:
    """Make the next devices due; returns the last one, or None at the end."""
    if not _lock_free(session, job_id):
        return None
    rows = session.execute(
        select(PushFailure.device_id, PushFailure.next_attempt_at)
        .join(Device, Device.id == PushFailure.device_id)
        .where(
            PushFailure.job_id == job_id,
            PushFailure.device_id > after,
            Device.disabled_at.is_(None),
        )
        .order_by(PushFailure.device_id)
        .limit(DEVICES_AT_ONCE)
    ).all()
    if not rows:
        return None
    session.execute(
        update(PushFailure)
        .where(
            PushFailure.job_id == job_id,
            PushFailure.device_id.in_([device_id for device_id, _ in rows]),
        )
        .values(next_attempt_at=now),
        execution_options=UNSYNCHRONIZED,
    )
    # A device that waits for its next try does not count as failed.
    final = sum(next_attempt_at is None for _, next_attempt_at in rows)
    _change(session, job_id, failed=PushJob.failed - final)
    return int(rows[-1][0])


def _reopen(session: Session, job_id: int) -> bool:
    """Make the job due if devices wait for another try."""
    waiting = select(PushFailure.device_id).where(
        PushFailure.job_id == job_id, PushFailure.next_attempt_at.is_not(None)
    )
    if not _lock_free(session, job_id) or session.scalar(waiting.limit(1)) is None:
        return False
    # A job that waits for another one is due when that one has let it pass.
    due_at = case((PushJob.waits_for.is_(None), literal(AT_ONCE, DUE_AT)))
    ended = {"error": None, "finished_at": None}
    _change(session, job_id, state=PROCESSING, due_at=due_at, **ended)
    return True


def _change(session: Session, job_id: int, **values: Any) -> None:
    session.execute(
        update(PushJob).where(PushJob.id == job_id).values(**values),
        execution_options=UNSYNCHRONIZED,
    )
