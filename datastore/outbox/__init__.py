"""The outbox: jobs are saved with their message, claimed under a lease and recorded.

The engine whose name is in `lease_owner` works on the job until `due_at`. Every later
write checks that name, so an engine that was presumed dead changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from datastore.outbox import order
from datastore.prepared import Prepared, PreparedInsert, link_of
from models.accounts import User
from models.chats import Chat, Message
from models.pushes import AT_ONCE, MESSAGE, QUEUED, Notification, PushJob


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job under our lease, as it was when it was loaded."""

    job_id: int
    # The job of which this one is a shard.
    parent_id: int | None
    chat_id: int
    # The job that it waits for; the engine that has claimed both runs it behind that.
    waits_for: int | None
    # Whether the jobs behind it wait until it lets them pass.
    holds_chat: bool
    message_id: int
    seq: int
    sender_id: int
    kind: str
    # The only user to be notified (kind READ).
    only_user: int | None
    # Users who are notified even if they have muted the conversation.
    mentions: tuple[int, ...]
    # Every device up to and including this (user, device) is recorded already.
    cursor: tuple[int, int]
    until_user: int | None
    fanned_out: bool
    total: int | None
    accepted: int
    failed: int
    error: str | None
    # How often it has been claimed, including this time, and when for the first time.
    attempts: int
    started_at: datetime
    notification: Notification
    # The message or its chat has been deleted, so no further device is notified.
    is_deleted: bool = False


_ENQUEUE = PreparedInsert(PushJob)
_ENQUEUE_BEHIND = PreparedInsert(PushJob, **order.behind())
_JOB_OF_MESSAGE = Prepared(
    select(PushJob.id).where(
        PushJob.message_id == bindparam("message"),
        PushJob.kind == MESSAGE,
        PushJob.parent_id.is_(None),
    )
)


def enqueue(
    session: Session,
    *,
    message: Message,
    deliver_at: datetime,
    ttl_s: int,
    now: datetime,
    kind: str = MESSAGE,
    only_user: int | None = None,
    after: int | None = None,
) -> int:
    """Insert the job of a message, in the message's own transaction; returns its id.

    A message waits for the job `after`, that of its chat's message before, until that
    one lets it pass; the caller has locked the chat. Kind WITHDRAW removes the
    message's notification from all devices, and READ updates the unread count on the
    devices of `only_user`. Both wait for the job of their message, and nothing waits
    for them.
    """
    is_ordered = deliver_at <= now
    job = {
        "message_id": message.id,
        "chat_id": message.chat_id,
        "kind": kind,
        "only_user": only_user,
        "state": QUEUED,
        # A message with a later delivery time does not hold up the chat.
        "holds_chat": is_ordered and kind == MESSAGE,
        "created_at": now,
        "expires_at": deliver_at + timedelta(seconds=ttl_s),
    }
    link = link_of(session)
    if kind != MESSAGE:
        found = _JOB_OF_MESSAGE.first(link, {"message": message.id})
        after = None if found is None else found[0]
    if not is_ordered or after is None:
        place = {"waits_for": None, "due_at": AT_ONCE if is_ordered else deliver_at}
        return _ENQUEUE.new_id(link, job | place)
    if order.needs_two_statements(session):
        return _ENQUEUE.new_id(link, job | order.find_place(session, after))
    return _ENQUEUE_BEHIND.new_id(link, job | {"after": after})


_LOAD = (
    select(
        PushJob.id.label("job_id"),
        PushJob.parent_id,
        PushJob.chat_id,
        PushJob.waits_for,
        PushJob.holds_chat,
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
    """The jobs among these that are leased to the owner, in the order of messages."""
    rows = session.connection().execute(_LOAD, {"ids": ids, "owner": owner})
    return [_claim(row) for row in rows.all()]


def _claim(row: Any) -> Claim:
    has_been_deleted = bool(row.message_deleted_at or row.chat_deleted_at)
    return Claim(
        job_id=row.job_id,
        parent_id=row.parent_id,
        chat_id=row.chat_id,
        waits_for=row.waits_for,
        holds_chat=row.holds_chat,
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
        is_deleted=row.kind == MESSAGE and has_been_deleted,
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
