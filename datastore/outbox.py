"""The outbox: jobs are put in with their message, claimed under a lease, and reported.

Whoever has written its name into `lease_owner` works on the job until `due_at`. Every
later write checks that name, so an engine that was taken for dead changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from models.accounts import User
from models.groupchat import Chat, Message
from models.pushes import (
    MESSAGE,
    PROCESSING,
    QUEUED,
    Note,
    PushJob,
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job under our lease, as it stood when we took it."""

    job_id: int
    # The job it is a shard of.
    parent_id: int | None
    chat_id: int
    message_id: int
    seq: int
    sender_id: int
    kind: str
    # Told alone (READ), or although they have muted the conversation.
    only_user: int | None
    mentions: tuple[int, ...]
    # Everything up to and including this (user, device) is recorded already.
    cursor: tuple[int, int]
    until_user: int | None
    fanned_out: bool
    total: int | None
    accepted: int
    failed: int
    error: str | None
    # How often it has been claimed, this time included.
    attempts: int
    note: Note
    # The message, or its chat, has been deleted: nobody is to be told any more.
    is_withdrawn: bool = False


# Statements of the hot paths are built once: building costs more than running them.
_ENQUEUE = insert(PushJob).returning(PushJob.id)


def enqueue(
    session: Session,
    *,
    message: Message,
    deliver_at: datetime,
    ttl_s: int,
    now: datetime,
    kind: str = MESSAGE,
    only_user: int | None = None,
) -> int:
    """Put the push of a message into the outbox, in the message's own transaction.

    Kind WITHDRAW takes a message's notification away from everybody's devices, and
    READ tells the devices of `only_user` what is left unread after this message.
    """
    job = {
        "message_id": message.id,
        "chat_id": message.chat_id,
        "kind": kind,
        "only_user": only_user,
        "state": QUEUED,
        "due_at": deliver_at,
        # What is put off on purpose may come after what is written later.
        "ordering_key": message.chat_id if deliver_at <= now else None,
        "created_at": now,
        "expires_at": deliver_at + timedelta(seconds=ttl_s),
    }
    return int(session.connection().execute(_ENQUEUE, job).scalar_one())


def _claimable() -> ColumnElement[bool]:
    """In its chat's order: no earlier message of the chat is still being fanned out.

    Earlier than what is said about a message is the message itself, too.
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

    Without `shards` those of large jobs are passed over.
    """
    query = select(PushJob.due_at).where(PushJob.due_at.is_not(None), _claimable())
    if not shards:
        query = query.where(PushJob.parent_id.is_(None))
    return query.order_by(PushJob.due_at).limit(1)


def next_due_at(session: Session) -> datetime | None:
    """The same, asked."""
    due_at: datetime | None = session.scalar(due())
    return due_at


@cache
def _due_now(of_shards: bool) -> Select[Any]:
    parent = PushJob.parent_id
    return (
        select(PushJob.id)
        .where(
            PushJob.due_at <= bindparam("now"),
            parent.is_not(None) if of_shards else parent.is_(None),
            _claimable(),
        )
        .order_by(PushJob.due_at)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True, of=PushJob)
    )


_LEASE = (
    update(PushJob)
    .where(PushJob.id.in_(bindparam("ids", expanding=True)))
    .values(
        state=PROCESSING,
        lease_owner=bindparam("owner"),
        due_at=bindparam("until"),
        attempts=PushJob.attempts + 1,
        started_at=func.coalesce(PushJob.started_at, bindparam("now")),
    )
)


def claim(
    session: Session,
    owner: str,
    *,
    limit: int,
    shards: int = 1,
    now: datetime,
    lease_until: datetime,
) -> list[int]:
    """Take up to `limit` due jobs, oldest first; nobody else gets them meanwhile.

    At most `shards` shards of large jobs are taken beside them: the other ones are
    for other engines. Returns their ids; `load` them after the commit, when senders
    no longer wait for us.
    """
    connection = session.connection()
    ids: list[int] = []
    # Both in one transaction, so that senders wait for one turn of ours and not two.
    for of_shards, most in ((False, limit), (True, min(limit, shards))):
        if most:
            due = connection.execute(_due_now(of_shards), {"now": now, "limit": most})
            ids += due.scalars()
    if ids:
        lease = {"ids": ids, "owner": owner, "until": lease_until, "now": now}
        connection.execute(_LEASE, lease)
    return ids


_LOAD = (
    select(
        PushJob.id.label("job_id"),
        PushJob.parent_id,
        PushJob.chat_id,
        PushJob.message_id,
        PushJob.kind,
        PushJob.only_user,
        PushJob.cursor_user,
        PushJob.cursor_device,
        PushJob.until_user,
        PushJob.fanned_out,
        PushJob.total,
        PushJob.accepted,
        PushJob.failed,
        PushJob.error,
        PushJob.attempts,
        PushJob.expires_at,
        Message.seq,
        Message.sender_id,
        Message.mentions,
        Message.text,
        Message.data,
        Message.silent,
        Message.created_at,
        Message.deleted_at.label("message_deleted_at"),
        Chat.name.label("chat_name"),
        Chat.deleted_at.label("chat_deleted_at"),
        User.name.label("sender_name"),
    )
    .join(Message, Message.id == PushJob.message_id)
    .join(Chat, Chat.id == PushJob.chat_id)
    .join(User, User.id == Message.sender_id)
    .where(
        PushJob.id.in_(bindparam("ids", expanding=True)),
        PushJob.lease_owner == bindparam("owner"),
    )
    .order_by(PushJob.message_id)
)


def load(session: Session, owner: str, ids: Sequence[int]) -> list[Claim]:
    """The claimed jobs of these ids that are still ours, in the order of messages."""
    rows = session.connection().execute(_LOAD, {"ids": ids, "owner": owner})
    return [_claim(row) for row in rows]


def _claim(row: Any) -> Claim:
    is_deleted = bool(row.message_deleted_at or row.chat_deleted_at)
    return Claim(
        job_id=row.job_id,
        parent_id=row.parent_id,
        chat_id=row.chat_id,
        message_id=row.message_id,
        seq=row.seq,
        sender_id=row.sender_id,
        kind=row.kind,
        only_user=row.only_user,
        mentions=tuple(row.mentions or ()),
        cursor=(row.cursor_user, row.cursor_device),
        until_user=row.until_user,
        fanned_out=row.fanned_out,
        total=row.total,
        accepted=row.accepted,
        failed=row.failed,
        error=row.error,
        attempts=row.attempts,
        is_withdrawn=row.kind == MESSAGE and is_deleted,
        note=Note(
            job_id=row.job_id,
            kind=row.kind,
            message_id=row.message_id,
            chat_id=row.chat_id,
            chat_name=row.chat_name,
            seq=row.seq,
            sender_name=row.sender_name,
            text=row.text,
            data=row.data or {},
            silent=row.silent,
            created_at=row.created_at,
            expires_at=row.expires_at,
        ),
    )
