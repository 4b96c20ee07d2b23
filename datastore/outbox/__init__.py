"""The outbox: jobs are saved with their message, claimed under a lease and recorded.

The engine whose name is in `lease_owner` works on the job until `due_at`. Every later
write checks that name, so an engine that was presumed dead changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from datastore.outbox import looks, order
from datastore.posts import NO_ORIGIN, Origin
from datastore.prepared import Prepared, PreparedInsert, Row, link_of
from datastore.prepared_lists import PreparedForIds
from models.accounts import SYSTEM, User
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
    # Of the request that has added it.
    request_id: str | None = None
    traceparent: str | None = None
    # The message or its chat has been deleted, so no further device is notified.
    is_deleted: bool = False
    # Devices by platform and outcome, as the row has them (`outcome_counts.py`).
    outcomes: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing is recorded of it."""
        return self.attempts == 1 and self.cursor == (0, 0)


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
    origin: Origin = NO_ORIGIN,
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
        "request_id": origin.request_id,
        "traceparent": origin.traceparent,
    }
    link = link_of(session)
    if kind != MESSAGE:
        found = _JOB_OF_MESSAGE.first(link, {"message": message.id})
        after = None if found is None else found[0]
    if not is_ordered or after is None:
        place = {"waits_for": None, "due_at": AT_ONCE if is_ordered else deliver_at}
        return _ENQUEUE.new_id(link, job | place)
    if order.needs_two_statements(link):
        return _ENQUEUE.new_id(link, job | order.find_place(session, after))
    return _ENQUEUE_BEHIND.new_id(link, job | {"after": after})


# The columns that are fields of a claim …
_OF_CLAIM: dict[str, Any] = {
    "job_id": PushJob.id,
    "parent_id": PushJob.parent_id,
    "chat_id": PushJob.chat_id,
    "waits_for": PushJob.waits_for,
    "holds_chat": PushJob.holds_chat,
    "message_id": PushJob.message_id,
    "seq": Message.seq,
    "sender_id": Message.sender_id,
    "kind": PushJob.kind,
    "only_user": PushJob.only_user,
    "until_user": PushJob.until_user,
    "fanned_out": PushJob.fanned_out,
    "total": PushJob.total,
    "accepted": PushJob.accepted,
    "failed": PushJob.failed,
    "error": PushJob.error,
    "attempts": PushJob.attempts,
    "started_at": PushJob.started_at,
    "request_id": PushJob.request_id,
    "traceparent": PushJob.traceparent,
    "outcomes": PushJob.outcomes,
}
# … those that are fields of its notification besides …
_OF_NOTIFICATION: dict[str, Any] = {
    "chat_name": Chat.name,
    "chat_external_id": Chat.external_id,
    "sender_name": User.name,
    "sender_external_id": User.external_id,
    "sender_avatar": User.avatar_url,
    "text": Message.text,
    "silent": Message.silent,
    "created_at": Message.created_at,
    "expires_at": PushJob.expires_at,
}
# … and those that are converted.
_OTHERS = (
    PushJob.cursor_user,
    PushJob.cursor_device,
    Message.mentions,
    Message.data,
    Message.kind,
    Message.notification,
    looks.third_member(),
    Message.deleted_at,
    Chat.deleted_at,
    looks.stamp(),
)
_LOAD = PreparedForIds(
    lambda ids: (
        select(*_OF_CLAIM.values(), *_OF_NOTIFICATION.values(), *_OTHERS)
        .join(Message, Message.id == PushJob.message_id)
        .join(Chat, Chat.id == PushJob.chat_id)
        .join(User, User.id == Message.sender_id)
        .where(PushJob.id.in_(ids), PushJob.lease_owner == bindparam("owner"))
    )
)


def load(session: Session, owner: str, ids: Sequence[int]) -> list[Claim]:
    """The jobs among these that are leased to the owner, in the order of messages."""
    rows = _LOAD.all(link_of(session), ids, {"owner": owner})
    known = looks.known(session, rows[0][-1]) if rows else looks.NO_LOOKS
    claims = [_claim(row, known) for row in rows]
    if counts := looks.count_members(session, [c.notification for c in claims], known):
        claims = [_with_members(claim, counts) for claim in claims]
    return sorted(claims, key=attrgetter("message_id", "job_id"))


def _with_members(claim: Claim, counts: Mapping[int, int]) -> Claim:
    members = counts.get(claim.chat_id)
    return replace(claim, notification=replace(claim.notification, members=members))


def _claim(row: Row, known: looks.Looks) -> Claim:
    values = iter(row)
    # `zip` asks its first argument first, so it takes no value that it does not pair.
    fields = dict(zip(_OF_CLAIM, values, strict=False))
    shown = dict(zip(_OF_NOTIFICATION, values, strict=False))
    *cursor, mentions, data, kind, changes, third, deleted_at, ended_at, _ = values
    sender_id = fields["sender_id"]
    if shown["sender_external_id"] == SYSTEM:
        # The claim keeps the id, for whom the job is not.
        sender_id = 0
        shown |= {"sender_name": "", "sender_external_id": None, "sender_avatar": None}
    has_been_deleted = bool(deleted_at or ended_at)
    mentions = tuple(mentions or ())
    return Claim(
        **fields,
        cursor=(cursor[0], cursor[1]),
        mentions=mentions,
        is_deleted=fields["kind"] == MESSAGE and has_been_deleted,
        notification=Notification(
            job_id=fields["job_id"],
            kind=fields["kind"],
            message_id=fields["message_id"],
            chat_id=fields["chat_id"],
            seq=fields["seq"],
            data=data or {},
            sender_id=sender_id,
            is_group=third is not None,
            **shown,
            **looks.of_message(known, kind, changes, mentions),
        ),
    )
