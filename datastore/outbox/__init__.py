"""The outbox: jobs are put in with their message, claimed under a lease, and reported.

Whoever has written its name into `lease_owner` works on the job until `due_at`. Every
later write checks that name, so an engine that was taken for dead changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from models.accounts import User
from models.chats import Chat, Message
from models.pushes import MESSAGE, QUEUED, Notification, PushJob


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job under our lease, as it stood when we took it."""

    job_id: int
    # The job it is a shard of.
    parent_id: int | None
    chat_id: int
    # The chat in whose order it comes; None when it may come at any time.
    ordering_key: int | None
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
    # How often it has been claimed, this time included, and when for the first time.
    attempts: int
    started_at: datetime
    notification: Notification
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


_LOAD = (
    select(
        PushJob.id.label("job_id"),
        PushJob.parent_id,
        PushJob.chat_id,
        PushJob.ordering_key,
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
        PushJob.started_at,
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
    .order_by(PushJob.message_id, PushJob.id)
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
        ordering_key=row.ordering_key,
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
        started_at=row.started_at,
        is_withdrawn=row.kind == MESSAGE and is_deleted,
        notification=Notification(
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
