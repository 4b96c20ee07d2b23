"""The work an engine is woken for: pushes and imports."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    func,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from datastore import Datastore, imports, outbox
from datastore.outbox import Claim, audience, claims, fanout, leases
from datastore.outbox.claims import EVERYTHING, NEVER, Floor
from datastore.outbox.fairness import Room
from datastore.outbox.fanout import Listener
from datastore.prepared import Prepared, link_of
from models.base import utc_now
from models.imports import ImportJob
from models.pushes import AT_ONCE, PushFailure, PushJob, Target

# Devices that are read together with their job: all devices of a small conversation,
# and few enough of a large one that many jobs fit into memory.
FIRST_TARGETS = 100
# A chat with fewer devices than this has them read once for all messages of a moment.
LISTENERS = 500
# Jobs whose devices are read with their claim. With more of them, a slow database might
# never come to the end of a look before it is cut short.
JOBS_WITH_TARGETS = 64
# A transaction of an engine takes milliseconds, so one that holds a lock for longer
# than this hangs.
LONGEST_LOCK_WAIT_MS = 2000
# Jobs whose retries are brought forward in one transaction.
RETRIES_AT_ONCE = 200
# The clocks of the hosts that share a database differ by no more than this.
CLOCK_SKEW = timedelta(seconds=0.25)
_AT_ONCE = literal(AT_ONCE, PushJob.due_at.type)
# Of a job that is given back; one that waits for another is due when that one ends.
_DUE_AGAIN: ColumnElement[Any] = case(
    (PushJob.waits_for.is_not(None), null()), else_=_AT_ONCE
)


class Due(NamedTuple):
    """What can be claimed next; a time in the past means now."""

    # The first job (id) that is due at once.
    at_once: int | None = None
    # When the next of the other jobs can be claimed.
    put_off_at: datetime | None = None
    import_at: datetime | None = None
    # The highest id of a job, in a look at everything.
    last_id: int | None = None

    @property
    def push_at(self) -> datetime | None:
        return self.put_off_at if self.at_once is None else AT_ONCE

    @property
    def next_at(self) -> datetime | None:
        moments = self.push_at, self.import_at
        return min((moment for moment in moments if moment is not None), default=None)

    def floor(self, before: Floor, now: datetime) -> Floor:
        """Where the look after this one may begin, which began at `before`."""
        if before != EVERYTHING:
            return before._replace(job_id=self.at_once or before.job_id)
        first_id = self.at_once or (self.last_id or 0) + 1
        # A job is put off until a time to come; the clocks of hosts may differ a bit.
        due_at = now - CLOCK_SKEW
        return Floor(first_id, min(due_at, self.put_off_at or due_at))


class Job(NamedTuple):
    """A claimed job and its first devices, `FIRST_TARGETS` at most.

    `targets` is None if the fan-out is done, if the message has been deleted, if the
    job waits for another one, and for the last ones of many jobs.
    """

    claim: Claim
    targets: list[Target] | None
    # The job (id) that it waits for, which this engine has claimed, too.
    follows: int | None = None


class Taken(NamedTuple):
    """What was due at a look, and the jobs that were claimed because of it."""

    due: Due
    jobs: list[Job]
    # Where the next look may begin, if no earlier job becomes due meanwhile.
    floor: Floor = EVERYTHING


def take(
    store: Datastore,
    owner: str,
    *,
    limit: int,
    chain: int,
    behind: Sequence[int] = (),
    shards: int,
    with_imports: bool,
    floor: Floor = EVERYTHING,
    room: Room | None = None,
    lease: timedelta,
) -> Taken:
    """Look, claim and load together, because a message waits for each wake-up's look.

    See `claims.claim` for the limits. `take_lost` finds the jobs if the result is lost.
    """
    now = utc_now()
    with store.read() as session:
        due = next_due(
            session, floor, with_shards=shards > 0, with_imports=with_imports
        )
        next_floor = due.floor(floor, now)
        is_due = due.push_at is not None and due.push_at <= now
        if not is_due and not (chain and claims.has_followers(session, behind)):
            return Taken(due, [], next_floor)
    with store.write() as session:
        # The lease begins once the transaction may write, however long that took.
        now = utc_now()
        ids = claims.claim(
            session,
            owner,
            limit=limit,
            chain=chain,
            behind=behind,
            shards=shards,
            floor=floor,
            room=room,
            put_off=due.put_off_at is not None and due.put_off_at <= now,
            now=now,
            lease_until=now + lease,
        )
    if not ids:
        return Taken(due, [], next_floor)
    with store.read() as session:
        jobs = _jobs(session, outbox.load(session, owner, ids), now)
        return Taken(due, jobs, next_floor)


def take_new(
    store: Datastore, owner: str, job_id: int, *, lease: timedelta
) -> list[Job]:
    """Claim and load a new job in one transaction; empty if it is not due at once.

    For an engine that has nothing else to do: a message waits for this alone.
    """

    def work(session: Session) -> list[Job]:
        now = utc_now()
        if not claims.claim_new(
            session, owner, job_id, now=now, lease_until=now + lease
        ):
            return []
        return _jobs(session, outbox.load(session, owner, [job_id]), now)

    return store.write_grouped(work)


def take_lost(
    store: Datastore, owner: str, *, is_running: Callable[[Claim], bool]
) -> list[Job]:
    """The jobs that are leased to this owner although it does not run them."""
    with store.read() as session:
        held = leases.held_by(session, owner)
        loaded = outbox.load(session, owner, held) if held else []
        lost = [claim for claim in loaded if not is_running(claim)]
        return _jobs(session, lost, utc_now())


def _jobs(session: Session, loaded: Sequence[Claim], now: datetime) -> list[Job]:
    """The claims, which are in the order of messages, with their first devices."""
    ready = [
        each
        for each in loaded
        if not (each.is_deleted or each.fanned_out or each.waits_for)
    ]
    # The others are read soon, in trips of their own.
    some = ready[:JOBS_WITH_TARGETS]
    targets = fanout.first_targets(session, some, limit=FIRST_TARGETS, now=now)
    return [Job(claim, targets.get(claim.job_id), claim.waits_for) for claim in loaded]


class ChatTargets(NamedTuple):
    """The devices of a chat, for all of its messages up to a number."""

    # The job for which they were read.
    job_id: int
    chat_id: int
    listeners: list[Listener]
    up_to_seq: int
    # Jobs whose messages have been deleted.
    deleted: set[int]


def read_first_targets(
    session: Session, waiting: Sequence[Claim], behind: Mapping[int, Sequence[Claim]]
) -> tuple[dict[int, list[Target] | None], list[ChatTargets]]:
    """The first devices of jobs whose turn has come, by job id.

    None for a job whose message has been deleted. Jobs for which members have to be
    reopened are left out: `fanout.next_targets` reads theirs. `behind` are the jobs
    that follow some of these in their chats; the devices are read for them, too.
    """
    now = utc_now()
    found: dict[int, list[Target] | None] = {}
    chats: list[ChatTargets] = []
    asked = [*waiting, *(each for those in behind.values() for each in those)]
    deleted = audience.find_deleted(session, asked)
    found.update({each.job_id: None for each in waiting if each.job_id in deleted})
    for claim in waiting:
        followers = behind.get(claim.job_id, ())
        if not followers or claim.job_id in deleted:
            continue
        seq = max(each.seq for each in followers)
        listeners = fanout.listeners(session, claim, seq, limit=LISTENERS)
        if listeners is None:
            continue
        gone = {each.job_id for each in followers} & deleted
        read_for = claim.job_id, claim.chat_id
        chats.append(ChatTargets(*read_for, listeners, seq, gone))
        found[claim.job_id] = fanout.choose(listeners, claim, now)
    rest = [claim for claim in waiting if claim.job_id not in found]
    read = fanout.first_targets(session, rest, limit=FIRST_TARGETS, now=now)
    return {**found, **read}, chats


def next_due(
    session: Session,
    floor: Floor = EVERYTHING,
    *,
    with_shards: bool = True,
    with_imports: bool = True,
) -> Due:
    """One query for all, because it runs at every wake-up.

    If nothing is due until the end of the floor, that end is when to look again.
    """
    query = _next_due(with_shards, with_imports, floor == EVERYTHING)
    job_id, due_at, until = floor
    values = {"floor_id": job_id, "floor_at": due_at, "until": until}
    due = Due(*query.one(link_of(session), values))
    if due.put_off_at is None and until != NEVER:
        return due._replace(put_off_at=until)
    return due


@cache
def _next_due(with_shards: bool, with_imports: bool, with_last: bool) -> Prepared:
    at_once = claims.first_at_once(shards=with_shards).scalar_subquery()
    put_off_at = claims.next_put_off(shards=with_shards).scalar_subquery()
    import_at = imports.due().scalar_subquery() if with_imports else null()
    last_id = select(func.max(PushJob.id)).scalar_subquery() if with_last else null()
    return Prepared(select(at_once, put_off_at, import_at, last_id))


def release_owner(session: Session, owner: str) -> int:
    """Make jobs and imports of an ended engine due at once; returns their number.

    Jobs that it had claimed behind others wait on. On PostgreSQL, a transaction that
    hangs may hold some of them: then this fails after a moment.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SET LOCAL lock_timeout = {LONGEST_LOCK_WAIT_MS}"))
    return _release(session, lambda table: table.lease_owner == owner)


def give_back(session: Session, owner: str, job_ids: Sequence[int]) -> None:
    """Make claimed jobs due at once that were not begun."""
    session.execute(
        update(PushJob)
        .where(PushJob.id.in_(job_ids), PushJob.lease_owner == owner)
        .values(lease_owner=None, due_at=_DUE_AGAIN)
        .execution_options(synchronize_session=False)
    )


def has_leases_beyond(session: Session, latest: datetime) -> bool:
    """Whether a lease ends later than that."""
    return any(
        session.scalar(select(table.id).where(_ends_beyond(table, latest)).limit(1))
        for table in (PushJob, ImportJob)
    )


def release_leases_beyond(session: Session, latest: datetime) -> int:
    """As `release_owner`, for leases that end later than that; returns their number."""
    return _release(session, lambda table: _ends_beyond(table, latest))


def has_retries_beyond(session: Session, latest: datetime) -> bool:
    """Whether a retry is due later than that."""
    found = session.scalar(select(PushJob.id).where(_waits_beyond(latest)).limit(1))
    return found is not None


def bring_retries_forward(session: Session, latest: datetime, now: datetime) -> int:
    """Make retries due now that are due later than `latest`; returns their jobs."""
    some = select(PushJob.id).where(_waits_beyond(latest)).limit(RETRIES_AT_ONCE)
    jobs = session.scalars(some).all()
    unsynchronized = {"synchronize_session": False}
    session.execute(
        update(PushFailure)
        .where(PushFailure.job_id.in_(jobs), PushFailure.next_attempt_at > latest)
        .values(next_attempt_at=now),
        execution_options=unsynchronized,
    )
    session.execute(
        update(PushJob)
        .where(PushJob.id.in_(jobs), _waits_beyond(latest))
        .values(due_at=now),
        execution_options=unsynchronized,
    )
    return len(jobs)


def _waits_beyond(latest: datetime) -> ColumnElement[bool]:
    # A message that waits for its delivery time has not been claimed yet.
    is_retry = PushJob.attempts > 0
    return and_(PushJob.due_at > latest, is_retry, PushJob.lease_owner.is_(None))


def _ends_beyond(table: Any, latest: datetime) -> ColumnElement[bool]:
    # The index of leases has few rows, unlike that of due times.
    return and_(table.lease_owner > "", table.due_at > latest)


def _release(session: Session, which: Callable[[Any], ColumnElement[bool]]) -> int:
    released = 0
    for table, due_at in ((PushJob, _DUE_AGAIN), (ImportJob, _AT_ONCE)):
        result = session.execute(
            update(table)
            .where(which(table))
            .values(lease_owner=None, due_at=due_at)
            .execution_options(synchronize_session=False)
        )
        released += result.rowcount  # type: ignore[attr-defined]
    return released
