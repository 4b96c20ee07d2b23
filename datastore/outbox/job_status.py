"""The status of a job, for its sender and for dispatchers that wait for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from datastore import provider_troubles
from datastore.outbox import outcome_counts
from datastore.outbox.outcome_counts import Counts
from models.accounts import Device
from models.base import utc_now
from models.pushes import COMPLETED, FAILED, PROCESSING, QUEUED, PushFailure, PushJob

# A look at why devices have not accepted reads this many of them at most.
MOST_FAILURES = 100
MOST_COUNTED = 10_000
NOT_ACCEPTED = "the pushes were not accepted"


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job with the counters of its shards added up."""

    id: int
    chat_id: int
    message_id: int
    # The only user who may see it; None means every member.
    only_user: int | None
    state: str
    total: int | None
    accepted: int
    failed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    request_id: str | None = None
    # The ids of the job and of its shards.
    shards: Sequence[int] = field(default=())
    # Devices by platform and outcome; None if an engine of an older version, which
    # does not count them, has had the job.
    outcomes: Counts | None = None
    # When it begins, if that is later: the time of delivery.
    begins_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.finished_at is not None

    def for_members(self) -> "JobStatus":
        """Without a provider's words, which may be about another member.

        A mail server, for example, tells the address that it refuses.
        """
        platform, colon, _ = (self.error or "").partition(": ")
        if not colon or not platform.isalpha():
            return self
        return replace(self, error=f"{platform}: {NOT_ACCEPTED}")

    @property
    def pending(self) -> int | None:
        if self.total is None:
            return None
        return self.total - self.accepted - self.failed


def find(session: Session, job_id: int) -> JobStatus | None:
    """The status of a job; None if no job has that id."""
    shards = session.scalars(
        select(PushJob)
        .where(or_(PushJob.id == job_id, PushJob.parent_id == job_id))
        .order_by(PushJob.id)
    ).all()
    if not shards or shards[0].id != job_id:
        return None
    first = shards[0]
    counted = [shard.total for shard in shards if shard.total is not None]
    ids = [shard.id for shard in shards]
    ends = [shard.finished_at for shard in shards if shard.finished_at is not None]
    error = next((shard.error for shard in shards if shard.error), None)
    if error is None and len(ends) < len(shards):
        error = _trouble(session, ids)
    return JobStatus(
        id=first.id,
        chat_id=first.chat_id,
        message_id=first.message_id,
        only_user=first.only_user,
        state=_state([shard.state for shard in shards]),
        total=sum(counted) if len(counted) == len(shards) else None,
        accepted=sum(shard.accepted for shard in shards),
        failed=sum(shard.failed for shard in shards),
        created_at=first.created_at,
        started_at=first.started_at,
        finished_at=max(ends) if len(ends) == len(shards) else None,
        error=error,
        request_id=first.request_id,
        shards=ids,
        outcomes=_counts(shards),
        begins_at=_begins_at(first),
    )


def _begins_at(job: PushJob) -> datetime | None:
    is_later = job.state == QUEUED and job.due_at and job.due_at > utc_now()
    return job.due_at if is_later else None


def _trouble(session: Session, job_ids: Sequence[int]) -> str | None:
    """What devices of the job wait for: a provider in trouble, and its reason.

    It is no column of the job, because it goes when a push of any job is accepted.
    There is hardly ever a trouble, so the devices are looked at only for one.
    """
    for trouble in provider_troubles.find_all(session):
        platform = trouble.route.partition(" ")[0]
        waiting = (
            select(PushFailure.device_id)
            .join(Device, Device.id == PushFailure.device_id)
            .where(
                PushFailure.job_id.in_(job_ids),
                PushFailure.next_attempt_at.is_not(None),
                Device.platform == platform,
            )
        )
        if session.scalar(waiting.limit(1)) is not None:
            return f"{platform}: {trouble.reason}"
    return None


def _counts(shards: Sequence[PushJob]) -> Counts | None:
    counts: Counts = sum(
        (outcome_counts.read(shard.outcomes) for shard in shards), Counts()
    )
    accepted = sum(shard.accepted for shard in shards)
    failed = sum(shard.failed for shard in shards)
    known = sum(n for (_, kind), n in counts.items() if kind == outcome_counts.ACCEPTED)
    return counts if known == accepted and counts.total() >= accepted + failed else None


def count_failures(session: Session, job: JobStatus) -> Counts:
    """The counts of a job that an older engine has had, from the rows of its devices.

    It looks at the first MOST_COUNTED of them; the platform is empty for devices that
    have accepted, or have been removed since.
    """
    first = (
        select(PushFailure.device_id, PushFailure.outcome)
        .where(PushFailure.job_id.in_(job.shards))
        .limit(MOST_COUNTED)
        .subquery()
    )
    platform = func.coalesce(Device.platform, "")
    rows = session.execute(
        select(platform, first.c.outcome, func.count())
        .outerjoin(Device, Device.id == first.c.device_id)
        .group_by(platform, first.c.outcome)
    )
    counts: Counts = Counts({(name, kind): number for name, kind, number in rows})
    counts["", outcome_counts.ACCEPTED] = job.accepted
    return counts


def reasons(
    session: Session, job_id: int, limit: int = 50
) -> list[tuple[str, str, int]]:
    """Why devices have not accepted: outcome, provider's reason, number of devices.

    For operators only: a reason may hold a member's address. Of more than MOST_COUNTED
    devices it counts only so many.
    """
    first = (
        select(PushFailure.outcome, PushFailure.reason)
        .join(PushJob, PushJob.id == PushFailure.job_id)
        .where(or_(PushJob.id == job_id, PushJob.parent_id == job_id))
        .limit(MOST_COUNTED)
        .subquery()
    )
    count = func.count()
    rows = session.execute(
        select(first.c.outcome, first.c.reason, count)
        .group_by(first.c.outcome, first.c.reason)
        .order_by(count.desc(), first.c.reason)
        .limit(limit)
    )
    return [(outcome, reason, number) for outcome, reason, number in rows]


def is_idle(session: Session, job_id: int) -> bool:
    """Whether the job and all its shards have ended or wait for a later time.

    No engine holds any of them then, and none of them is due.
    """
    now = utc_now()
    jobs = session.execute(
        select(PushJob.finished_at, PushJob.lease_owner, PushJob.due_at).where(
            or_(PushJob.id == job_id, PushJob.parent_id == job_id)
        )
    )
    return all(
        finished_at is not None
        or (owner is None and due_at is not None and due_at > now)
        for finished_at, owner, due_at in jobs
    )


def next_time(session: Session, job_id: int) -> datetime | None:
    """When an idle job is due again; None when it has ended."""
    return session.scalar(select(PushJob.due_at).where(PushJob.id == job_id))


def _state(states: Sequence[str]) -> str:
    if all(state == states[0] for state in states):
        return states[0]
    if all(state in (COMPLETED, FAILED) for state in states):
        return FAILED
    return PROCESSING
