"""Claims due jobs, in the order of each chat.

The index that a claim reads holds only jobs that may be claimed now and those under a
lease: a job that waits for another one has no `due_at` (`order.py`). So a claim costs
the same whether ten jobs wait or a hundred thousand.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    bindparam,
    case,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from datastore import mariadb
from datastore.outbox import fairness, order
from datastore.outbox.fairness import Room, Turns
from datastore.prepared import Prepared, Row, link_of
from datastore.prepared_lists import Ids, PreparedForIds
from models.pushes import AT_ONCE, PROCESSING, PushJob

# When more jobs are due than fit, those that have been put off (retries, and jobs of a
# crashed engine) get this share of the room.
SHARE = 0.25
# Jobs of one chat that are claimed together.
MOST_OF_CHAT = 128
# Later than any due time.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Floor(NamedTuple):
    """Where a look begins in the index of due jobs: what comes before has passed.

    While any transaction is open, PostgreSQL keeps the index entries of all jobs that
    have passed since it began, and a look would read each of them.
    """

    # Among the jobs that are due at once, the first id.
    job_id: int = 0
    # Among the others (retries, delayed messages, expired leases), the first time …
    due_at: datetime = AT_ONCE
    # … and the last one.
    until: datetime = NEVER


EVERYTHING = Floor()


def first_at_once(*, shards: bool) -> Select[Any]:
    """The first job (id) that is due at once.

    Without `shards`, shards of large jobs are left out.
    """
    query = select(PushJob.id).where(*_is_at_once())
    return _for_all_or_whole(query, shards=shards).order_by(PushJob.id).limit(1)


def next_put_off(*, shards: bool) -> Select[Any]:
    """When the next of the other jobs can be claimed; in the past if one can be now."""
    due_at = PushJob.due_at
    query = select(due_at).where(*_is_put_off(), due_at <= _parameter("until"))
    return _for_all_or_whole(query, shards=shards).order_by(due_at).limit(1)


def _for_all_or_whole(query: Select[Any], *, shards: bool) -> Select[Any]:
    return query if shards else query.where(PushJob.parent_id.is_(None))


def _parameter(name: str) -> BindParameter[Any]:
    return bindparam(name, type_=PushJob.due_at.type)


def _is_at_once() -> tuple[ColumnElement[bool], ...]:
    at_once = literal(AT_ONCE, PushJob.due_at.type)
    return PushJob.due_at == at_once, PushJob.id >= bindparam("floor_id")


def _is_put_off() -> tuple[ColumnElement[bool], ...]:
    at_once = literal(AT_ONCE, PushJob.due_at.type)
    return PushJob.due_at > at_once, PushJob.due_at >= _parameter("floor_at")


def next_due_at(session: Session) -> datetime | None:
    """When the next job can be claimed; in the past if one can be now."""
    query = select(PushJob.due_at).where(PushJob.due_at.is_not(None))
    query = query.order_by(PushJob.due_at, PushJob.id).limit(1)
    due_at: datetime | None = session.scalar(query)
    return due_at


class _DueJob(NamedTuple):
    """A job that is due, and whether the job in front holds it up after all."""

    id: int
    waits_for: int | None
    is_held_up: bool | None
    is_split: bool


_AHEAD = aliased(PushJob)
_OF_DUE_JOB: tuple[Any, ...] = (
    PushJob.id,
    PushJob.waits_for,
    order.holds(_AHEAD).label("is_held_up"),
    PushJob.until_user.is_not(None).label("is_split"),
)


_SEEN_ALONE: tuple[Any, ...] = (*_OF_DUE_JOB[:2], null(), *_OF_DUE_JOB[3:])


def _locked(query: Select[Any], *, alone: bool) -> Select[Any]:
    """The jobs of the query as `_DueJob`, locked, without those of other engines.

    `alone` does not look at the jobs in front, because MariaDB would lock them, too,
    and take one that it cannot lock for one that is missing.
    """
    if alone:
        return query.with_only_columns(*_SEEN_ALONE).with_for_update(skip_locked=True)
    return (
        query.with_only_columns(*_OF_DUE_JOB)
        .join(_AHEAD, _AHEAD.id == PushJob.waits_for, isouter=True)
        .with_for_update(skip_locked=True, key_share=True, of=PushJob)
    )


@cache
def _due_now(kind: str, alone: bool) -> Prepared:
    """Selects due jobs, as `_DueJob`."""
    limit = bindparam("limit", type_=Integer)
    return Prepared(_locked(_KINDS[kind](), alone=alone).limit(limit), picks=True)


def _oldest() -> Select[Any]:
    return select(PushJob).where(*_is_at_once(), _IS_WHOLE).order_by(PushJob.id)


def _newest() -> Select[Any]:
    return select(PushJob).where(*_is_at_once(), _IS_WHOLE).order_by(PushJob.id.desc())


def _put_off() -> Select[Any]:
    query = select(PushJob).where(*_is_put_off(), _IS_WHOLE, _IS_DUE)
    return query.order_by(PushJob.due_at, PushJob.id)


def _shards() -> Select[Any]:
    query = select(PushJob).where(~_IS_WHOLE, _IS_DUE)
    return query.order_by(PushJob.due_at, PushJob.id)


_IS_WHOLE = PushJob.parent_id.is_(None)
_IS_DUE = PushJob.due_at <= _parameter("now")
_KINDS: Mapping[str, Callable[[], Select[Any]]] = {
    "oldest": _oldest,
    "newest": _newest,
    "put off": _put_off,
    "shards": _shards,
}


@cache
def _chosen(alone: bool) -> PreparedForIds:
    def jobs(ids: Ids) -> Select[Any]:
        return select(PushJob).where(PushJob.id.in_(ids), _IS_DUE)

    return PreparedForIds(lambda ids: _locked(jobs(ids), alone=alone))


# A job that another engine has claimed ends its chain. If that engine is dead, its
# claim ends when the job in front lets it pass.
_IS_FREE = (
    PushJob.due_at.is_(None),
    PushJob.lease_owner.is_(None),
    PushJob.holds_chat,
)


def _first_followers(ids: Ids) -> Select[Any]:
    return select(PushJob.id).where(PushJob.waits_for.in_(ids), *_IS_FREE)


def _followers(ids: Ids) -> Select[Any]:
    """The jobs behind these, each behind the one before, in order.

    One chat gets no more of them than its share.
    """
    first = _first_followers(ids).add_columns(literal(1).label("place"))
    queue = first.cte("queue", recursive=True)
    queue = queue.union_all(
        select(PushJob.id, queue.c.place + 1)
        .join(queue, PushJob.waits_for == queue.c.id)
        .where(*_IS_FREE, queue.c.place < MOST_OF_CHAT)
    )
    return select(queue.c.id).limit(bindparam("limit", type_=Integer))


_HAS_FOLLOWER = PreparedForIds(lambda ids: _first_followers(ids).limit(1))
_FOLLOWERS = PreparedForIds(_followers)


def has_followers(session: Session, job_ids: Sequence[int]) -> bool:
    """Whether a job waits for one of these and has not been claimed."""
    return bool(_HAS_FOLLOWER.all(link_of(session), job_ids))


_OWNER = bindparam("owner", type_=PushJob.lease_owner.type)
_LEASE_VALUES: dict[Any, Any] = {
    "state": PROCESSING,
    "lease_owner": _OWNER,
    # An engine that claims its own job again goes on with the claim that it has.
    "attempts": case(
        (PushJob.lease_owner == _OWNER, PushJob.attempts), else_=PushJob.attempts + 1
    ),
    "started_at": func.coalesce(
        PushJob.started_at, bindparam("now", type_=PushJob.started_at.type)
    ),
}
_LEASE = PreparedForIds(
    lambda ids: (
        update(PushJob)
        .where(PushJob.id.in_(ids))
        .values({**_LEASE_VALUES, "due_at": bindparam("until"), "waits_for": None})
    )
)
# Without a due time, so that the job waits on if we crash.
_LEASE_FOLLOWERS = PreparedForIds(
    lambda ids: (
        update(PushJob)
        .where(
            PushJob.id.in_(ids),
            # Another engine may have let them pass since they were selected.
            PushJob.waits_for.is_not(None),
            PushJob.lease_owner.is_(None),
        )
        .values(_LEASE_VALUES)
    )
)


def claim(
    session: Session,
    owner: str,
    *,
    limit: int,
    chain: int = 0,
    behind: Sequence[int] = (),
    shards: int = 1,
    floor: Floor = EVERYTHING,
    put_off: bool = True,
    room: Room | None = None,
    now: datetime,
    lease_until: datetime,
) -> list[int]:
    """Lease up to `limit` due jobs to the owner; returns their ids.

    If more are due, all their senders get a turn (`fairness.py`).

    Besides, up to `chain` jobs are leased that follow a claimed job in its chat, or one
    of `behind`, the owner's last job of each chat: the engine starts each when the
    devices of the job before have answered. At most `shards` of the claimed jobs are
    shards of large jobs, because the other shards are for other engines.
    Without `put_off`, a look has just found no retries or delayed messages due.
    Load them after the commit (`outbox.load`), so that other writers need not wait.
    """
    # All in one transaction, so that senders wait for one write and not for several.
    values = {"now": now, "floor_id": floor.job_id, "floor_at": floor.due_at}
    due = _take_due(session, limit, values, put_off=put_off, room=room)
    whole = [row.id for row in due if not row.is_split]
    due += _take(session, "shards", min(limit - len(due), shards), values)
    ids = [row.id for row in due]
    lease = {"owner": owner, "now": now}
    link = link_of(session)
    _LEASE.run(link, ids, {**lease, "until": lease_until})
    if chain > 0:
        # Other engines may have the other shards of a job that has been split.
        found = _FOLLOWERS.all(link, [*whole, *behind], {"limit": chain})
        followers = [job_id for (job_id,) in found[:chain]]
        _LEASE_FOLLOWERS.run(link, followers, lease)
        ids += followers
    return ids


# Any other job is left to a look, which knows what to do with it.
_LEASE_NEW = Prepared(
    update(PushJob)
    .where(
        PushJob.id == bindparam("job"),
        PushJob.due_at == literal(AT_ONCE, PushJob.due_at.type),
        PushJob.waits_for.is_(None),
        PushJob.parent_id.is_(None),
    )
    .values({**_LEASE_VALUES, "due_at": _parameter("until")})
)


def claim_new(
    session: Session, owner: str, job_id: int, *, now: datetime, lease_until: datetime
) -> bool:
    """Lease this job to the owner, if it is whole and due at once."""
    values = {"job": job_id, "owner": owner, "now": now, "until": lease_until}
    return _LEASE_NEW.count(link_of(session), values) == 1


def _take_due(
    session: Session,
    limit: int,
    values: Mapping[str, Any],
    *,
    put_off: bool,
    room: Room | None,
) -> list[_DueJob]:
    if room is not None and limit <= room.reserve:
        return _take_fairly(session, limit, values, put_off=put_off, room=room)
    few = limit - 2 * int(limit * SHARE)
    rows = _take(session, "oldest", few, values)
    if put_off:
        rows += _take(session, "put off", few - len(rows), values)
    if len(rows) < few:
        return rows
    # The ones taken until now need not be among those that are chosen.
    return _take_fairly(session, limit, values, put_off=put_off, room=room)


def _take_fairly(
    session: Session,
    limit: int,
    values: Mapping[str, Any],
    *,
    put_off: bool,
    room: Room | None,
) -> list[_DueJob]:
    """Some of all senders, when more jobs are due than fit.

    A quarter of the places goes to retries, if as many are due, so that a backlog for
    one failing provider does not delay all other pushes.
    """
    link = link_of(session)
    later = fairness.read(link, _put_off, values, limit) if put_off else []
    oldest = fairness.read(link, _oldest, values, limit)
    newest = fairness.read(link, _newest, values, limit)
    fresh = fairness.mix(oldest, newest)
    turns = Turns(limit, None if room is None else room.senders())
    chosen = turns.give(fresh, limit - min(len(later), int(limit * SHARE)))
    chosen += turns.give(later, limit - len(chosen))
    if len(chosen) < limit:
        known = set(chosen)
        rest = [each for each in fresh if each.job_id not in known]
        chosen += turns.give(rest, limit - len(chosen))
    alone = mariadb.is_spoken(link.dialect)
    found = _chosen(alone).all(link, chosen, {"now": values["now"]})
    return _free(session, found)


def _take(
    session: Session, kind: str, limit: int, values: Mapping[str, Any]
) -> list[_DueJob]:
    if limit <= 0:
        return []
    link = link_of(session)
    prepared = _due_now(kind, mariadb.is_spoken(link.dialect))
    found = prepared.all(link, {**values, "limit": limit})
    return _free(session, found)


def _free(session: Session, found: Sequence[Row]) -> list[_DueJob]:
    """Those that no other job holds up."""
    rows = [_DueJob(*row) for row in found]
    link = link_of(session)
    if mariadb.is_spoken(link.dialect) and any(row.waits_for for row in rows):
        fronts = order.find_holding(link, [row.waits_for or 0 for row in rows])
        rows = [row._replace(is_held_up=row.waits_for in fronts) for row in rows]
    held_up = {
        row.id: row.waits_for for row in rows if row.is_held_up and row.waits_for
    }
    if held_up:
        order.set_aside(session, held_up)
    return [row for row in rows if not row.is_held_up]
