"""The outbox: jobs are put in with their message, claimed under a lease, and reported.

Whoever has written its name into `lease_owner` works on the job until `due_at`. Every
later write checks that name, so an engine that was taken for dead changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
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
    FAILED,
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


# Built once: it is part of every send, and building it costs more than running it.
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
    ids: list[int] = []
    # Both in one transaction, so that senders wait for one turn of ours and not two.
    for is_shard, most in ((False, limit), (True, min(limit, shards))):
        ids += session.scalars(
            select(PushJob.id)
            .where(
                PushJob.due_at <= now,
                PushJob.parent_id.is_not(None) == is_shard,
                _claimable(),
            )
            .order_by(PushJob.due_at)
            .limit(most)
            .with_for_update(skip_locked=True, of=PushJob)
        ).all()
    if not ids:
        return ids
    session.execute(
        update(PushJob)
        .where(PushJob.id.in_(ids))
        .values(
            state=PROCESSING,
            lease_owner=owner,
            due_at=lease_until,
            attempts=PushJob.attempts + 1,
            started_at=func.coalesce(PushJob.started_at, now),
        )
        .execution_options(synchronize_session=False)
    )
    return ids


def load(session: Session, owner: str, ids: Sequence[int]) -> list[Claim]:
    """The claimed jobs of these ids that are still ours, in the order of messages."""
    rows = session.execute(
        select(PushJob, Message, Chat, User.name)
        .join(Message, Message.id == PushJob.message_id)
        .join(Chat, Chat.id == PushJob.chat_id)
        .join(User, User.id == Message.sender_id)
        .where(PushJob.id.in_(ids), PushJob.lease_owner == owner)
        .order_by(PushJob.message_id)
    )
    return [_claim(*row) for row in rows]


def _claim(job: PushJob, message: Message, chat: Chat, sender_name: str) -> Claim:
    return Claim(
        job_id=job.id,
        parent_id=job.parent_id,
        chat_id=job.chat_id,
        message_id=job.message_id,
        seq=message.seq,
        sender_id=message.sender_id,
        kind=job.kind,
        only_user=job.only_user,
        mentions=tuple(message.mentions or ()),
        cursor=(job.cursor_user, job.cursor_device),
        until_user=job.until_user,
        fanned_out=job.fanned_out,
        total=job.total,
        accepted=job.accepted,
        failed=job.failed,
        error=job.error,
        attempts=job.attempts,
        note=Note(
            job_id=job.id,
            kind=job.kind,
            message_id=message.id,
            chat_id=chat.id,
            chat_name=chat.name,
            seq=message.seq,
            sender_name=sender_name,
            text=message.text,
            data=message.data or {},
            silent=message.silent,
            created_at=message.created_at,
            expires_at=job.expires_at,
        ),
    )


def renew(
    session: Session, owner: str, job_ids: Sequence[int], lease_until: datetime
) -> set[int]:
    """Lengthen our leases; returns the jobs that are still ours."""
    session.execute(
        update(PushJob)
        .where(PushJob.id.in_(job_ids), PushJob.lease_owner == owner)
        .values(due_at=lease_until)
        .execution_options(synchronize_session=False)
    )
    ours = select(PushJob.id).where(
        PushJob.id.in_(job_ids), PushJob.lease_owner == owner
    )
    return set(session.scalars(ours))


def release_owner(session: Session, owner: str, now: datetime) -> int:
    """Make what an ended engine held due at once; returns how many jobs that were."""
    result = session.execute(
        update(PushJob)
        .where(PushJob.lease_owner == owner)
        .values(lease_owner=None, due_at=now)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def put_off(
    session: Session,
    owner: str,
    job_id: int,
    *,
    error: str,
    now: datetime,
    until: datetime | None,
) -> None:
    """Give back a job that fails by itself; without `until` that is its end."""
    values = {"lease_owner": None, "due_at": until, "error": error}
    if until is None:
        values |= {"state": FAILED, "finished_at": now, "ordering_key": None}
    session.execute(
        update(PushJob)
        .where(PushJob.id == job_id, PushJob.lease_owner == owner)
        .values(values)
        .execution_options(synchronize_session=False)
    )
