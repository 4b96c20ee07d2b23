"""The order of a chat's jobs: each job names the one that has to let it pass.

A job that waits has no `due_at`, so a look at the outbox does not come across it,
however many there are. The engine that lets a job pass makes those behind it due, in
the transaction that records it.

On a server a sender may add a job behind another one while that one is let pass. So
the sender holds a KEY SHARE lock of the job in front until its commit, and letting pass
needs a FOR UPDATE lock, with which it sees the new job. Neither waits for the other:

- A sender that cannot have its lock adds a job that waits and is due all the same. A
  claim finds it, looks at the job in front, and sets it aside if that one still holds.
- An engine that cannot have its lock leaves the step for its next record.

MariaDB has only shared and exclusive locks, so there a sender's lock also excludes any
other write to the job in front.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    case,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from datastore import mariadb
from datastore.prepared import Link, Prepared, link_of
from datastore.prepared_lists import PreparedForIds
from models.pushes import AT_ONCE, PushJob

Values = Mapping[str, Any]


def holds(job: Any = PushJob) -> ColumnElement[bool]:
    """Whether the jobs behind this one still wait for it, or for a shard of it."""
    return or_(job.holds_chat, job.holding_shards > 0)


@cache
def _holding(*, locked: bool) -> Select[Any]:
    """Selects the job `after` if it holds; with `locked`, only if it can be locked."""
    ahead = aliased(PushJob)
    query = select(ahead.id).where(ahead.id == bindparam("after"), holds(ahead))
    if locked:
        query = query.with_for_update(
            read=True, key_share=True, skip_locked=True, of=ahead
        )
    return query


@cache
def behind() -> Values:
    """The columns of a new job behind the job `after`, if that one still holds."""
    has_place = _holding(locked=True).exists()
    return {
        "waits_for": _holding(locked=False).scalar_subquery(),
        "due_at": case((has_place, null()), else_=literal(AT_ONCE, _DUE_AT)),
    }


_DUE_AT = PushJob.due_at.type


def behind_last(after: ColumnElement[Any], due_at: ColumnElement[Any]) -> Values:
    """As `behind`, in the statement that locks the chat, which names the job `after`.

    That statement does not see a job that was added just before it got the lock. So
    it cannot lock it, and the new job is due although it waits, as after any other
    lock that it does not get.
    """
    ahead = aliased(PushJob)
    has_passed = select(ahead.id).where(ahead.id == after, not_(holds(ahead))).exists()
    front = aliased(PushJob)
    has_place = (
        select(front.id)
        .where(front.id == after, holds(front))
        .with_for_update(read=True, key_share=True, skip_locked=True, of=front)
        .exists()
    )
    return {
        "waits_for": case((has_passed, null()), else_=after),
        "due_at": case((has_place, null()), else_=due_at),
    }


def needs_two_statements(link: Link) -> bool:
    """MariaDB does not read a table in the statement that inserts into it."""
    return mariadb.is_spoken(link.dialect)


def find_place(session: Session, after: int) -> dict[str, Any]:
    """The values of `behind`, as two statements."""
    connection = session.connection()
    waits_for = connection.execute(_holding(locked=False), {"after": after}).scalar()
    place = connection.execute(_holding(locked=True), {"after": after}).scalar()
    return {"waits_for": waits_for, "due_at": AT_ONCE if place is None else None}


def find_holding(link: Link, ids: Sequence[int]) -> set[int]:
    """Those of these jobs that others still wait for, without a lock."""
    return {job_id for (job_id,) in _FIND_HOLDING.all(link, ids)}


_FIND_HOLDING = PreparedForIds(
    lambda ids: select(PushJob.id).where(PushJob.id.in_(ids), holds())
)


def set_aside(session: Session, jobs: Mapping[int, int]) -> None:
    """Make jobs that are due wait, each for the job it names, if that one still holds.

    A job whose front is being let pass at this moment stays due.
    """
    connection = session.connection()
    for job_id, after in jobs.items():
        if connection.execute(_holding(locked=True), {"after": after}).first():
            connection.execute(_SET_ASIDE, {"job": job_id, "after": after})


_SET_ASIDE = (
    update(PushJob)
    .where(PushJob.id == bindparam("job"), PushJob.waits_for == bindparam("after"))
    .values(due_at=None)
)


class Front(NamedTuple):
    """A job under our lease, as far as others wait for it."""

    job_id: int
    parent_id: int | None
    holds_chat: bool
    holding_shards: int


def lock(session: Session, fronts: Sequence[Front]) -> list[Front]:
    """Those of our jobs that can be let pass now; see the top of this module."""
    link = link_of(session)
    if link.dialect.name == "sqlite":
        return list(fronts)
    wanted = {front.job_id for front in fronts}
    wanted |= {front.parent_id for front in fronts if front.parent_id is not None}
    locked = {job_id for (job_id,) in _LOCK.all(link, list(wanted))}
    return [
        front
        for front in fronts
        if front.job_id in locked
        and (front.parent_id is None or front.parent_id in locked)
    ]


_LOCK = PreparedForIds(
    lambda ids: (
        select(PushJob.id)
        .where(PushJob.id.in_(ids))
        .order_by(PushJob.id)
        .with_for_update(skip_locked=True)
    )
)


def let_pass(
    session: Session, owner: str, fronts: Sequence[Front], lease_until: datetime
) -> list[int]:
    """Make the jobs behind these due; the caller has locked these and cleared `holds`.

    Returns the jobs (ids) that others may have waited for.
    The last shard of a split job lets those behind the whole job pass. A job behind
    that the owner has claimed already goes on under its lease. One that another engine
    has claimed is taken from it, because that engine has lost the job in front.
    """
    passed = [
        front.job_id
        for front in fronts
        if front.parent_id is None and not front.holding_shards
    ]
    shards = Counter(front.parent_id for front in fronts if front.parent_id is not None)
    if shards:
        rows = [{"job": job_id, "count": count} for job_id, count in shards.items()]
        session.connection().execute(_COUNT_SHARDS, rows)
    split = {*shards, *(front.job_id for front in fronts if front.holding_shards)}
    if split:
        found = session.connection().execute(_NOT_HOLDING, {"ids": list(split)})
        passed += found.scalars()
    lease = {"owner": owner, "until": lease_until}
    _LET_PASS.each(link_of(session), [{**lease, "front": job} for job in passed])
    return passed


_COUNT_SHARDS = (
    update(PushJob)
    .where(PushJob.id == bindparam("job"))
    .values(holding_shards=PushJob.holding_shards - bindparam("count"))
)
_NOT_HOLDING = select(PushJob.id).where(
    PushJob.id.in_(bindparam("ids", expanding=True)), not_(holds())
)
_IS_OURS = PushJob.lease_owner == bindparam("owner")
_LET_PASS = Prepared(
    update(PushJob)
    .where(PushJob.waits_for == bindparam("front"))
    .values(
        waits_for=None,
        due_at=case(
            (_IS_OURS, bindparam("until", type_=_DUE_AT)),
            else_=literal(AT_ONCE, _DUE_AT),
        ),
        lease_owner=case((_IS_OURS, PushJob.lease_owner), else_=null()),
    )
)


def give_way(
    session: Session,
    owner: str,
    job_id: int,
    attempts: int | None,
    lease_until: datetime,
) -> bool:
    """Let the jobs behind this one pass although it is not done.

    Those that wait for a job in front of it wait on. False if the job is not ours, or
    not by this claim.
    """
    connection = session.connection()
    mine = {"job": job_id, "owner": owner, "attempts": attempts}
    after = connection.execute(_PLACE, mine).scalar()
    # The job in front first, like an engine that lets that one pass.
    is_held = after is not None and bool(
        connection.execute(_KEEP_HOLDING, {"after": after}).first()
    )
    found = connection.execute(_PLACE_LOCKED, mine).first()
    if found is None:
        return False
    front = Front(*found)
    connection.execute(_LEAVE, {"job": job_id})
    if is_held:
        connection.execute(_WAIT_FOR_NEXT, {"front": job_id, "after": after})
    elif front.holds_chat:
        let_pass(session, owner, [front], lease_until)
    return True


_ATTEMPTS = bindparam("attempts", type_=Integer)
_MINE = (
    PushJob.id == bindparam("job"),
    PushJob.lease_owner == bindparam("owner"),
    PushJob.attempts == func.coalesce(_ATTEMPTS, PushJob.attempts),
)
FRONT_COLUMNS = (
    PushJob.id,
    PushJob.parent_id,
    PushJob.holds_chat,
    PushJob.holding_shards,
)
_PLACE = select(PushJob.waits_for).where(*_MINE)
_PLACE_LOCKED = select(*FRONT_COLUMNS).where(*_MINE).with_for_update()
_KEEP_HOLDING = (
    select(PushJob.id)
    .where(PushJob.id == bindparam("after"), holds())
    .with_for_update(read=True, key_share=True)
)
_LEAVE = (
    update(PushJob)
    .where(PushJob.id == bindparam("job"))
    .values(holds_chat=False, waits_for=None)
)
_WAIT_FOR_NEXT = (
    update(PushJob)
    .where(PushJob.waits_for == bindparam("front"))
    .values(waits_for=bindparam("after"))
)
