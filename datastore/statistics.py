"""Queries of the dashboard: sends and pushes over time, the queue, and failures."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    case,
    cast,
    extract,
    func,
    select,
    text,
)
from sqlalchemy.orm import Session

from models.accounts import Device, User
from models.pushes import AT_ONCE, FAILED, MESSAGE, PushFailure, PushJob

# Percentiles are taken from the newest jobs, at most this many.
MOST_DELAYS = 5_000
MOST_ROWS = 10


class Bucket(NamedTuple):
    """Counts of one step of the time axis; `number` counts steps from its start."""

    number: int
    sends: int
    accepted: int
    failed: int


class Delay(NamedTuple):
    """Seconds from a message to the start and to the end of its push."""

    number: int
    start_s: float
    end_s: float


class QueueLengths(NamedTuple):
    due: int
    leased: int
    waiting: int


class FailingJob(NamedTuple):
    id: int
    state: str
    failed: int
    total: int | None
    error: str | None
    created_at: datetime


class FailingDevice(NamedTuple):
    id: int
    owner_id: int | None
    owner: str | None
    platform: str | None
    outcome: str
    reason: str
    pushes: int
    is_disabled: bool


def first_job_since(session: Session, since: datetime) -> int:
    """The first id of the jobs created since then, found by binary search.

    Ids grow with time; an index on the time would cost every send a write.
    """
    low, high = 0, session.scalar(select(func.max(PushJob.id))) or 0
    at_or_after = select(PushJob.id, PushJob.created_at).order_by(PushJob.id).limit(1)
    while low < high:
        middle = (low + high) // 2
        found = session.execute(at_or_after.where(PushJob.id > middle)).first()
        if found is None or found.created_at >= since:
            high = middle
        else:
            low = int(found.id)
    return low + 1


def over_time(
    session: Session, first_job: int, since: datetime, step: timedelta
) -> list[Bucket]:
    """Messages and the results of their pushes, by the time of the message."""
    number = _bucket(session, since, step)
    is_send = (PushJob.kind == MESSAGE) & PushJob.parent_id.is_(None)
    rows = session.execute(
        select(
            number,
            func.sum(case((is_send, 1), else_=0)),
            func.sum(PushJob.accepted),
            func.sum(PushJob.failed),
        )
        .where(PushJob.id >= first_job, PushJob.created_at >= since)
        .group_by(number)
        .order_by(number)
    )
    return [Bucket(*map(int, row)) for row in rows]


def delays(
    session: Session, first_job: int, since: datetime, step: timedelta
) -> list[Delay]:
    """Delays of the newest jobs that have ended, newest first."""
    rows = session.execute(
        select(PushJob.created_at, PushJob.started_at, PushJob.finished_at)
        .where(
            PushJob.id >= first_job,
            PushJob.kind == MESSAGE,
            PushJob.created_at >= since,
            PushJob.finished_at.is_not(None),
        )
        .order_by(PushJob.id.desc())
        .limit(MOST_DELAYS)
    )
    return [
        Delay(
            int((created_at - since) / step),
            (started_at - created_at).total_seconds(),
            (finished_at - created_at).total_seconds(),
        )
        for created_at, started_at, finished_at in rows
        if started_at is not None and finished_at is not None
    ]


def queue(session: Session, now: datetime) -> QueueLengths:
    """Numbers of jobs that have not ended: due and free, leased, waiting."""
    is_leased = PushJob.lease_owner.is_not(None)
    is_due = PushJob.due_at <= now
    row = session.execute(
        select(
            func.sum(case((~is_leased & is_due, 1), else_=0)),
            func.sum(case((is_leased, 1), else_=0)),
            func.sum(case((~is_leased & ~is_due, 1), else_=0)),
            # SQLite searches an index for this, but reads every row for "not NULL".
        ).where(PushJob.due_at >= AT_ONCE)
    ).one()
    due, leased, later = (int(count or 0) for count in row)
    # Jobs that are due as soon as the one in front lets them pass; none is in both.
    behind = PushJob.waits_for > 0, PushJob.due_at.is_(None)
    waiting = session.execute(
        select(
            func.sum(case((~is_leased, 1), else_=0)),
            func.sum(case((is_leased, 1), else_=0)),
        ).where(*behind)
    ).one()
    free_behind, leased_behind = (int(count or 0) for count in waiting)
    return QueueLengths(due + free_behind, leased + leased_behind, later)


def outcomes(session: Session, first_job: int) -> list[tuple[str, str, int]]:
    """Outcomes, the providers' reasons and the numbers of pushes, highest first."""
    count = func.count()
    rows = session.execute(
        select(PushFailure.outcome, PushFailure.reason, count)
        .where(PushFailure.job_id >= first_job)
        .group_by(PushFailure.outcome, PushFailure.reason)
        .order_by(count.desc(), PushFailure.reason)
        .limit(MOST_ROWS)
    )
    return [(outcome, reason, number) for outcome, reason, number in rows]


def failing_jobs(session: Session, first_job: int) -> list[FailingJob]:
    """The newest jobs with an error, or with devices that did not accept the push."""
    rows = session.execute(
        select(
            PushJob.id,
            PushJob.state,
            PushJob.failed,
            PushJob.total,
            PushJob.error,
            PushJob.created_at,
        )
        .where(
            PushJob.id >= first_job,
            (PushJob.failed > 0)
            | PushJob.error.is_not(None)
            | (PushJob.state == FAILED),
        )
        .order_by(PushJob.id.desc())
        .limit(MOST_ROWS)
    )
    return [FailingJob(*row) for row in rows]


def failing_devices(session: Session, first_job: int) -> list[FailingDevice]:
    """The devices with the most failed pushes, and the reason of the last failure."""
    counted = (
        select(
            PushFailure.device_id,
            func.count().label("pushes"),
            func.max(PushFailure.job_id).label("last_job"),
        )
        .where(PushFailure.job_id >= first_job)
        .group_by(PushFailure.device_id)
        .order_by(func.count().desc(), PushFailure.device_id)
        .limit(MOST_ROWS)
        .subquery()
    )
    is_last = and_(
        PushFailure.device_id == counted.c.device_id,
        PushFailure.job_id == counted.c.last_job,
    )
    rows = session.execute(
        select(
            counted.c.device_id,
            Device.user_id,
            User.name,
            Device.platform,
            PushFailure.outcome,
            PushFailure.reason,
            counted.c.pushes,
            Device.disabled_at.is_not(None),
        )
        .join(PushFailure, is_last)
        .outerjoin(Device, Device.id == counted.c.device_id)
        .outerjoin(User, User.id == Device.user_id)
        .order_by(counted.c.pushes.desc(), counted.c.device_id)
    )
    return [FailingDevice(*row) for row in rows]


def _bucket(session: Session, since: datetime, step: timedelta) -> ColumnElement[int]:
    """The number of whole steps from `since` to the creation of a job."""
    step_s = int(step.total_seconds())
    age_s: ColumnElement[int]
    if session.get_bind().dialect.name in ("mysql", "mariadb"):
        # Its seconds since 1970 depend on the session's time zone.
        age_s = func.timestampdiff(text("SECOND"), since, PushJob.created_at)
    else:
        age_s = extract("epoch", PushJob.created_at) - int(since.timestamp())
    return cast(func.floor(age_s / step_s), Integer)
