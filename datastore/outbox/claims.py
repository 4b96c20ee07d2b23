"""Claims due jobs, in the order of each chat."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from models.pushes import MESSAGE, PROCESSING, PushJob

# When more jobs are due than fit, the newest ones get this share of the room.
NEWEST_SHARE = 0.25


def _claimable() -> ColumnElement[bool]:
    """No earlier message of the chat is still being fanned out.

    A message's own job is also earlier than other jobs about the message.
    """
    earlier = aliased(PushJob)
    itself = and_(
        earlier.message_id == PushJob.message_id,
        earlier.kind == MESSAGE,
        PushJob.kind != MESSAGE,
    )
    blocked = exists().where(
        earlier.ordering_key == PushJob.ordering_key,
        or_(earlier.message_id < PushJob.message_id, itself),
    )
    return or_(PushJob.ordering_key.is_(None), ~blocked)


def due(*, shards: bool = True) -> Select[Any]:
    """When the next job can be claimed; in the past if one can be now.

    Without `shards`, shards of large jobs are left out.
    """
    query = select(PushJob.due_at).where(PushJob.due_at.is_not(None), _claimable())
    if not shards:
        query = query.where(PushJob.parent_id.is_(None))
    return query.order_by(PushJob.due_at).limit(1)


def next_due_at(session: Session) -> datetime | None:
    """The result of `due`."""
    due_at: datetime | None = session.scalar(due())
    return due_at


@cache
def _due_now(*, of_shards: bool = False, newest: bool = False) -> Select[Any]:
    parent = PushJob.parent_id
    return (
        select(PushJob.id)
        .where(
            PushJob.due_at <= bindparam("now"),
            parent.is_not(None) if of_shards else parent.is_(None),
            _claimable(),
        )
        .order_by(PushJob.due_at.desc() if newest else PushJob.due_at)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True, of=PushJob)
    )


def _followers() -> Select[Any]:
    """The jobs that follow already claimed ones in their chats, in order."""
    head = aliased(PushJob)
    chats = select(head.ordering_key).where(
        head.id.in_(bindparam("ids", expanding=True)),
        head.ordering_key.is_not(None),
        # Other engines may have the other shards of a job that has been split.
        head.until_user.is_(None),
    )
    return (
        select(PushJob.id)
        .where(
            PushJob.ordering_key.in_(chats),
            PushJob.due_at <= bindparam("now"),
            PushJob.lease_owner.is_(None),
            PushJob.parent_id.is_(None),
            PushJob.id.not_in(bindparam("ids", expanding=True)),
        )
        .order_by(PushJob.message_id, PushJob.id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(of=PushJob)
    )


_FOLLOWERS = _followers()

_LEASE = (
    update(PushJob)
    .where(PushJob.id.in_(bindparam("ids", expanding=True)))
    .values(
        state=PROCESSING,
        lease_owner=bindparam("owner"),
        due_at=bindparam("until"),
        attempts=PushJob.attempts + 1,
        started_at=func.coalesce(
            PushJob.started_at, bindparam("now", type_=PushJob.started_at.type)
        ),
    )
)


def claim(
    session: Session,
    owner: str,
    *,
    limit: int,
    chain: int = 0,
    shards: int = 1,
    now: datetime,
    lease_until: datetime,
) -> list[int]:
    """Lease up to `limit` due jobs to the owner, oldest first; returns their ids.

    Up to `chain` of them follow another claimed job in its chat: the engine starts each
    when all devices of the job before have answered. At most `shards` of them are
    shards of large jobs, because the other shards are for other engines.
    Load them after the commit (`outbox.load`), so that other writers need not wait.
    """
    connection = session.connection()

    def take(query: Select[Any], most: int, **values: Any) -> None:
        if most > 0:
            values |= {"now": now, "limit": most}
            taken = connection.execute(query, values).scalars()
            ids.extend(job_id for job_id in taken if job_id not in ids)

    # All in one transaction, so that senders wait for one write and not for several.
    ids: list[int] = []
    newest = int(limit * NEWEST_SHARE)
    take(_due_now(), limit - newest)
    if len(ids) == limit - newest:
        # More jobs are due than fit. The newest get some of the room, so that a backlog
        # for one failing provider does not delay all other pushes.
        take(_due_now(newest=True), newest)
    if ids:
        take(_FOLLOWERS, min(limit - len(ids), chain), ids=list(ids))
    take(_due_now(of_shards=True), min(limit, shards))
    if ids:
        lease = {"ids": ids, "owner": owner, "until": lease_until, "now": now}
        connection.execute(_LEASE, lease)
    return ids
