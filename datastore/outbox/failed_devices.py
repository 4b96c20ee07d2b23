"""The devices of a job that have not accepted their push, and another try of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, case, literal, or_, select, update
from sqlalchemy.orm import Session

from datastore import Datastore
from models.accounts import Device, User
from models.errors import Conflict, NotFound
from models.pushes import AT_ONCE, PROCESSING, PushFailure, PushJob

MOST_SHOWN = 50
# Devices that are made due in one transaction.
DEVICES_AT_ONCE = 1000
# A message that is tried again does not expire sooner than this.
TIME_TO_LIVE = timedelta(hours=1)
UNSYNCHRONIZED = {"synchronize_session": False}
DUE_AT = PushJob.due_at.type


class Place(NamedTuple):
    """A device's place in the list: its job or shard comes first."""

    job: int
    device: int


class FailedDevice(NamedTuple):
    """A device and the last outcome; the device may have been removed since."""

    device: int
    # Its owner and platform; None if the device has been removed.
    user: int | None
    owner: str | None
    platform: str | None
    outcome: str
    # In the provider's words, which may hold an address of the owner.
    reason: str
    attempts: int
    # None if it is not tried again.
    next_attempt_at: datetime | None
    # The job, or its shard.
    job: int

    @property
    def place(self) -> Place:
        """Behind it, a list goes on with the next one."""
        return Place(self.job, self.device)


class Retry(NamedTuple):
    """What is tried again: the jobs that are due now, and how many of their devices."""

    jobs: list[int]
    devices: int


def of_jobs(
    session: Session,
    job_ids: Sequence[int],
    *,
    user_id: int | None = None,
    after: Place | None = None,
    limit: int = MOST_SHOWN,
) -> list[FailedDevice]:
    """The next devices that have not accepted; with a user, only that user's.

    They are looked up by a primary key, however many devices have failed.
    """
    query = (
        select(
            PushFailure.device_id,
            Device.user_id,
            User.name,
            Device.platform,
            PushFailure.outcome,
            PushFailure.reason,
            PushFailure.attempts,
            PushFailure.next_attempt_at,
            PushFailure.job_id,
        )
        .outerjoin(Device, Device.id == PushFailure.device_id)
        .outerjoin(User, User.id == Device.user_id)
        .where(PushFailure.job_id.in_(job_ids))
        .order_by(PushFailure.job_id, PushFailure.device_id)
        .limit(limit)
    )
    if after is not None:
        here = and_(
            PushFailure.job_id == after.job, PushFailure.device_id > after.device
        )
        query = query.where(or_(here, PushFailure.job_id > after.job))
    if user_id is not None:
        # By themselves, because a planner may else begin with all that have failed.
        own = session.scalars(select(Device.id).where(Device.user_id == user_id)).all()
        if not own:
            return []
        query = query.where(PushFailure.device_id.in_(own))
    return [FailedDevice(*row) for row in session.execute(query)]


def wait(
    session: Session, job_ids: Sequence[int], *, platform: str, outcome: str
) -> bool:
    """Whether devices of the platform with this outcome wait for another try.

    One of them tells it, because they are all treated alike.
    """
    example = session.execute(
        select(PushFailure.next_attempt_at)
        .join(Device, Device.id == PushFailure.device_id)
        .where(
            PushFailure.job_id.in_(job_ids),
            PushFailure.outcome == outcome,
            Device.platform == platform,
        )
        .limit(1)
    ).first()
    return example is not None and example.next_attempt_at is not None


def try_again(store: Datastore, job_id: int, now: datetime) -> Retry:
    """Make all devices due that have not accepted.

    Disabled devices are left out, and so are those that an engine tries at this moment.
    Each of the others gets an hour at least. Raises NotFound, or Conflict if no device
    is left. In short transactions, so that senders need not wait; a job is reopened by
    the last one, and the same request again goes on with a rest.
    """
    with store.read() as session:
        shards = _free_shards(session, job_id)
    devices = 0
    for shard in shards:
        after: int | None = 0
        while after is not None:
            with store.write() as session:
                after, count = _make_due(session, shard, after, now)
            devices += count
    with store.write() as session:
        reopened = [shard for shard in shards if _reopen(session, shard, now)]
    if not reopened:
        raise Conflict("No device of this job can be tried again now.")
    return Retry(reopened, devices)


def _free_shards(session: Session, job_id: int) -> list[int]:
    """The job and its shards, but those that an engine has at this moment."""
    shards = session.execute(
        select(PushJob.id, PushJob.lease_owner)
        .where(or_(PushJob.id == job_id, PushJob.parent_id == job_id))
        .order_by(PushJob.id)
    ).all()
    if not shards or shards[0].id != job_id:
        raise NotFound("There is no such job.")
    return [shard for shard, owner in shards if owner is None]


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


def _make_due(
    session: Session, job_id: int, after: int, now: datetime
) -> tuple[int | None, int]:
    """Make the next devices due; the last one, or None at the end, and their number."""
    if not _lock_free(session, job_id):
        return None, 0
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
        return None, 0
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
    return int(rows[-1][0]), len(rows)


def _reopen(session: Session, job_id: int, now: datetime) -> bool:
    """Make the job due if devices wait for another try."""
    waiting = select(PushFailure.device_id).where(
        PushFailure.job_id == job_id, PushFailure.next_attempt_at.is_not(None)
    )
    if not _lock_free(session, job_id) or session.scalar(waiting.limit(1)) is None:
        return False
    # A job that waits for another one is due when that one has let it pass.
    due_at = case((PushJob.waits_for.is_(None), literal(AT_ONCE, DUE_AT)))
    ended = {"error": None, "finished_at": None}
    until = now + TIME_TO_LIVE
    lives_longer = PushJob.expires_at > until
    expires_at = case((lives_longer, PushJob.expires_at), else_=literal(until, DUE_AT))
    _change(
        session,
        job_id,
        state=PROCESSING,
        due_at=due_at,
        expires_at=expires_at,
        **ended,
    )
    return True


def _change(session: Session, job_id: int, **values: Any) -> None:
    session.execute(
        update(PushJob).where(PushJob.id == job_id).values(**values),
        execution_options=UNSYNCHRONIZED,
    )
