"""Messages: posting, reading, editing and deleting them.

A post locks the chat's row first, so on every database messages are numbered in order,
and a message posted twice is stored once.
"""

from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.orm import Session

from datastore import client_ids, erasure, outbox, senders, unread
from datastore.chats import Membership, strangers
from datastore.posts import (
    LONGEST_TTL_S,
    NO_ORIGIN,
    Draft,
    NewMessage,
    Origin,
    Posted,
)
from datastore.prepared import Prepared, PreparedInsert, link_of
from datastore.senders import Sender
from models.accounts import User
from models.chats import OWNER, Chat, Member, Message
from models.errors import Forbidden, Invalid, NotFound
from models.pushes import READ, WITHDRAW

# After a day the next message will correct the badge.
READ_TTL_S = 24 * 3600
# Numbers of a chat whose messages are erased in one transaction: senders wait for it.
ERASED_AT_ONCE = 200
ONLY_MEMBERS = "Only members can be mentioned."


class Written(NamedTuple):
    """A message, and who has sent it."""

    message: Message
    sender: Sender


# The statements of a send.
_INSERT = PreparedInsert(Message)
_SET_LAST = Prepared(
    update(Chat)
    .where(Chat.id == bindparam("chat"))
    .values(last_seq=bindparam("seq"), last_job_id=bindparam("job"))
)
# Never lowered: of two devices of a user, the one that has read further is right.
_SET_READ_SEQ = Prepared(
    update(Member)
    .where(Member.chat_id == bindparam("chat"), Member.user_id == bindparam("user"))
    .where(Member.read_seq < bindparam("seq"))
    .values(read_seq=bindparam("seq"))
)


def post(
    session: Session, membership: Membership, draft: Draft, now: datetime
) -> Posted:
    """Store a message and its job; the membership must have been read for update."""
    if draft.client_id and (first := client_ids.first_post(session, membership, draft)):
        return first
    if draft.mentions and (
        unknown := strangers(session, membership.chat_id, draft.mentions)
    ):
        raise Invalid(ONLY_MEMBERS, user_ids=unknown)
    message = _insert(session, membership, draft, now)
    deliver_at = max(draft.deliver_after or now, now)
    job_id = outbox.enqueue(
        session,
        # It reads only the two ids.
        message=cast(Message, message),
        deliver_at=deliver_at,
        ttl_s=draft.ttl_s,
        now=now,
        after=membership.last_job_id,
        origin=draft.origin,
    )
    # The next message does not wait for one with a later delivery time.
    last_job_id = job_id if deliver_at <= now else membership.last_job_id
    place = {"chat": membership.chat_id, "seq": message.seq}
    link = link_of(session)
    _SET_LAST.count(link, {**place, "job": last_job_id})
    # The sender's own message is never unread, nor are those before it.
    _SET_READ_SEQ.count(link, {**place, "user": membership.user_id})
    if draft.client_id:
        client_ids.remember(link, message, job_id, draft)
    return Posted(message, job_id, is_new=True)


def _insert(
    session: Session, membership: Membership, draft: Draft, now: datetime
) -> NewMessage:
    link = link_of(session)
    values: dict[str, Any] = {
        "chat_id": membership.chat_id,
        "seq": membership.last_seq + 1,
        "sender_id": membership.user_id,
        **draft.columns(),
        "created_at": now,
    }
    return NewMessage(_INSERT.new_id(link, values), **values)


def history(
    session: Session,
    chat_id: int,
    *,
    after: int | None,
    before: int | None,
    limit: int,
) -> list[Written]:
    """Up to `limit` messages in order: the first after `after`, else the last."""
    query = (
        select(Message, *senders.COLUMNS)
        .join(User, User.id == Message.sender_id)
        .where(Message.chat_id == chat_id)
    )
    if before is not None:
        query = query.where(Message.seq < before)
    if after is not None:
        query = query.where(Message.seq > after).order_by(Message.seq)
        return _written(session, query.limit(limit))
    newest = query.order_by(Message.seq.desc()).limit(limit)
    return _written(session, newest)[::-1]


def _written(session: Session, query: Select[Any]) -> list[Written]:
    return [
        Written(message, senders.of_row(*sender))
        for message, *sender in session.execute(query)
    ]


def edit(
    session: Session, membership: Membership, message_id: int, text: str, now: datetime
) -> Message:
    """Change the sender's own text; notifications already shown keep the old one."""
    message = _message(session, membership.chat_id, message_id)
    if message.sender_id != membership.user_id:
        raise Forbidden("Only its sender may change a message.")
    message.text, message.edited_at = text, now
    session.flush()
    return message


def delete(
    session: Session,
    membership: Membership,
    message_id: int,
    now: datetime,
    origin: Origin = NO_ORIGIN,
) -> int:
    """Empty a message; returns the job that withdraws its notifications.

    The membership must have been read for update.
    """
    message = _message(session, membership.chat_id, message_id)
    if message.sender_id != membership.user_id and membership.role != OWNER:
        raise Forbidden("Only its sender or an owner may delete a message.")
    return _delete(session, message, now, origin)


def moderate(
    session: Session,
    chat_id: int,
    message_id: int,
    now: datetime,
    origin: Origin = NO_ORIGIN,
) -> int:
    """As `delete`, for the service; the chat must have been read for update."""
    return _delete(session, _message(session, chat_id, message_id), now, origin)


def _delete(session: Session, message: Message, now: datetime, origin: Origin) -> int:
    erasure.erase(session, message.chat_id, [message], now)
    return withdraw(session, message, now, origin)


class Erased(NamedTuple):
    """A part of a chat whose messages have been erased."""

    deleted: int
    last_seq: int
    has_more: bool
    # Those that withdraw notifications.
    jobs: list[int]


def erase_some(
    session: Session, chat_id: int, *, sender_id: int | None, after: int, now: datetime
) -> Erased:
    """Erase the messages among the next numbers behind `after`.

    The chat must have been read for update. New notifications are withdrawn.
    """
    found = erasure.find_some(
        session, chat_id, sender_id=sender_id, after=after, limit=ERASED_AT_ONCE
    )
    recent = [each for each in found if each.created_at > now - erasure.WITHDRAWN_FOR]
    if found:
        erasure.erase(session, chat_id, found, now)
    jobs = [withdraw(session, each, now) for each in recent]
    newest = max(erasure.last_seq(session, chat_id), after)
    last = min(after + ERASED_AT_ONCE, newest)
    return Erased(len(found), last, last < newest, jobs)


def withdraw(
    session: Session, message: Message, now: datetime, origin: Origin = NO_ORIGIN
) -> int:
    """Take a message's notifications back; returns the job."""
    return outbox.enqueue(
        session,
        message=message,
        deliver_at=now,
        ttl_s=LONGEST_TTL_S,
        now=now,
        kind=WITHDRAW,
        origin=origin,
    )


def _message(session: Session, chat_id: int, message_id: int) -> Message:
    message = session.scalar(
        select(Message)
        .where(
            Message.id == message_id,
            Message.chat_id == chat_id,
            Message.deleted_at.is_(None),
        )
        .with_for_update()
    )
    if message is None:
        raise NotFound("There is no such message in this conversation.")
    return message


def mark_read(
    session: Session,
    membership: Membership,
    seq: int,
    now: datetime,
    origin: Origin = NO_ORIGIN,
) -> tuple[int, int | None]:
    """The number up to which the user has read, and the job that updates the badges.

    There is no job if the user had read as far before, or if the message has been
    pruned, because it did not count any more.
    """
    seq = min(seq, membership.last_seq)
    place = {"chat": membership.chat_id, "user": membership.user_id, "seq": seq}
    if not _SET_READ_SEQ.count(link_of(session), place):
        return membership.read_seq, None
    # Locked, so that it is not pruned before its job is there.
    message = session.scalar(
        select(Message)
        .where(Message.chat_id == membership.chat_id, Message.seq == seq)
        .with_for_update(read=True, key_share=True)
    )
    job_id = None
    if message is not None:
        job_id = outbox.enqueue(
            session,
            message=message,
            deliver_at=now,
            ttl_s=READ_TTL_S,
            now=now,
            kind=READ,
            only_user=membership.user_id,
            origin=origin,
        )
    unread.settle(session, membership.user_id, except_chat=membership.chat_id)
    return seq, job_id
