"""Queries of the metrics: the queue, and the jobs and pushes of the last hour."""

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from datastore import reasons, statistics
from models.accounts import Device
from models.pushes import AT_ONCE, COMPLETED, FAILED, MESSAGE, PushFailure, PushJob

# Providers may add reasons at any time, and each one is a time series of its own.
MOST_REASONS = 100
RATE_PERIOD = timedelta(minutes=1)
# Neighbours among jobs ended at about the same time, apart from a few that were taken
# as the newest ones or had to be retried.
NEIGHBOURS = 256


class EndedJobs(NamedTuple):
    """Jobs that ended in one state, and the results of their pushes."""

    state: str
    jobs: int
    accepted: int
    failed: int


class RefusedPushes(NamedTuple):
    """Pushes that failed for the same reason."""

    platform: str
    outcome: str
    reason: str
    pushes: int


def oldest_due_age_s(session: Session, now: datetime) -> float:
    """How long the oldest free job has been due, or has waited for another one."""
    is_free = PushJob.lease_owner.is_(None)
    at_once = select(PushJob.created_at).where(PushJob.due_at == AT_ONCE, is_free)
    waiting = select(PushJob.created_at).where(PushJob.waits_for > 0, is_free)
    put_off = select(PushJob.due_at).where(
        PushJob.due_at > AT_ONCE, PushJob.due_at <= now, is_free
    )
    oldest = [
        session.scalar(query.limit(1))
        for query in (
            at_once.order_by(PushJob.id),
            # Jobs are added in the order of those they wait for.
            waiting.order_by(PushJob.waits_for),
            put_off.order_by(PushJob.due_at),
        )
    ]
    ages_s = [(now - since).total_seconds() for since in oldest if since is not None]
    return max(ages_s, default=0.0)


class Rates(NamedTuple):
    """Messages a second in the last minute."""

    accepted: float
    # Their jobs have ended, with all retries.
    ended: float


def rates(session: Session, now: datetime) -> Rates:
    """Whether pushing keeps up: the messages that came, and those that were done.

    There is no index of ended jobs, because each job would have to be written to it.
    Jobs are done about in the order of their ids. So those that ended in the last
    minute were added in it, or come just before the first job that waits.
    """
    since = now - RATE_PERIOD
    first = statistics.first_job_since(session, since)
    front = _first_in_queue(session)
    if front is not None and front < first:
        first = _first_ended_since(session, since, front)
    is_new, is_ended = PushJob.created_at >= since, PushJob.finished_at >= since
    row = session.execute(
        select(
            func.sum(case((is_new, 1), else_=0)),
            func.sum(case((is_ended, 1), else_=0)),
        ).where(
            PushJob.id >= first, PushJob.kind == MESSAGE, PushJob.parent_id.is_(None)
        )
    ).one()
    return Rates(*(int(count or 0) / RATE_PERIOD.total_seconds() for count in row))


def _first_in_queue(session: Session) -> int | None:
    """The first job that could be pushed now, or waits for another one."""
    is_free = PushJob.lease_owner.is_(None)
    at_once = select(PushJob.id).where(PushJob.due_at == AT_ONCE, is_free)
    waiting = select(PushJob.id).where(PushJob.waits_for > 0, is_free)
    found = [
        session.scalar(at_once.order_by(PushJob.id).limit(1)),
        session.scalar(waiting.order_by(PushJob.waits_for).limit(1)),
    ]
    return min((job_id for job_id in found if job_id is not None), default=None)


def _first_ended_since(session: Session, since: datetime, front: int) -> int:
    """Where the jobs before `front` begin that ended since then, by binary search."""
    low, high = 0, front - 1
    while high - low > NEIGHBOURS:
        middle = (low + high) // 2
        neighbours = (
            select(PushJob.finished_at)
            .where(PushJob.id > middle)
            .order_by(PushJob.id)
            .limit(NEIGHBOURS)
            .subquery()
        )
        last = session.scalar(select(func.max(neighbours.c.finished_at)))
        if last is not None and last < since:
            low = middle
        else:
            high = middle
    return low + 1


def ended(session: Session, first_job: int) -> list[EndedJobs]:
    """Jobs from that id on, by state; a shard counts only with its pushes."""
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
    found = {state: EndedJobs(state, *map(int, sums)) for state, *sums in rows}
    return [
        found.get(state, EndedJobs(state, 0, 0, 0)) for state in (COMPLETED, FAILED)
    ]


def refused(session: Session, first_job: int) -> list[RefusedPushes]:
    """By number, highest first; the platform is empty for devices removed since.

    Reasons are labels, without the providers' own words.
    """
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
    numbers: Counter[tuple[str, str, str]] = Counter()
    for name, outcome, reason, number in rows:
        numbers[name, outcome, reasons.label(name, reason)] += number
    return [RefusedPushes(*key, number) for key, number in numbers.most_common()]
