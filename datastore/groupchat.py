"""Conversations: who sits in them, and what was written.

Whoever writes to a chat holds its row first, so numbers are given in order and a
message posted twice is stored once, on every database.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from datastore import outbox
from datastore.accounts import in_slices
from models.errors import NotFound
from models.groupchat import MEMBER, OWNER, Chat, Member, Message
from models.pushes import MESSAGE, PushJob


class Seat(NamedTuple):
    """A user's place in a chat, and the chat as it stood when it was read."""

    chat_id: int
    chat_name: str
    created_at: datetime
    last_seq: int
    user_id: int
    role: str


class Posted(NamedTuple):
    """A stored message and its job; not new when it had been posted before."""

    message: Message
    job_id: int
    is_new: bool


NOT_YOURS = "There is no such conversation, or you are not a member."

# The statements of a send, built once: building one costs more than running it.
_SEAT = (
    select(
        Chat.id, Chat.name, Chat.created_at, Chat.last_seq, Member.user_id, Member.role
    )
    .join(Member, Member.chat_id == Chat.id)
    .where(
        Chat.id == bindparam("chat"),
        Chat.deleted_at.is_(None),
        Member.user_id == bindparam("user"),
    )
)
_SEAT_FOR_UPDATE = _SEAT.with_for_update(of=Chat)
_INSERT = insert(Message).returning(Message.id)
_COUNT = (
    update(Chat).where(Chat.id == bindparam("chat")).values(last_seq=bindparam("seq"))
)
# Who writes has seen the conversation: one's own message is never unread.
_READ = (
    update(Member)
    .where(Member.chat_id == bindparam("chat"), Member.user_id == bindparam("user"))
    .values(read_seq=bindparam("seq"))
)


def create(
    session: Session,
    name: str,
    *,
    owner_id: int,
    user_ids: Sequence[int],
    now: datetime,
) -> Chat:
    """A chat of its owner and the users given, who must exist."""
    chat = Chat(name=name, last_seq=0, created_at=now)
    session.add(chat)
    session.flush()
    others = sorted(set(user_ids) - {owner_id})
    _seat_all(session, chat, [owner_id], OWNER)
    _seat_all(session, chat, others, MEMBER)
    return chat


def get(session: Session, chat_id: int, *, for_update: bool = False) -> Chat:
    """Raises NotFound when there is no such chat."""
    query = select(Chat).where(Chat.id == chat_id, Chat.deleted_at.is_(None))
    chat = session.scalar(query.with_for_update() if for_update else query)
    if chat is None:
        raise NotFound(NOT_YOURS)
    return chat


def seat(
    session: Session, chat_id: int, user_id: int, *, for_update: bool = False
) -> Seat:
    """Raises NotFound when there is no such chat or the user is not in it."""
    query = _SEAT_FOR_UPDATE if for_update else _SEAT
    row = (
        session.connection().execute(query, {"chat": chat_id, "user": user_id}).first()
    )
    if row is None:
        raise NotFound(NOT_YOURS)
    return Seat(*row)


def is_member(session: Session, chat_id: int, user_id: int) -> bool:
    query = select(Member.user_id).where(
        Member.chat_id == chat_id, Member.user_id == user_id
    )
    return session.scalar(query) is not None


def post(
    session: Session,
    seat: Seat,
    *,
    text: str,
    client_id: str | None,
    ttl_s: int,
    now: datetime,
) -> Posted:
    """Store a message and its push job; the seat must have been read for update."""
    if client_id is not None and (first := _posted_before(session, seat, client_id)):
        return first
    values = {
        "chat_id": seat.chat_id,
        "seq": seat.last_seq + 1,
        "sender_id": seat.user_id,
        "client_id": client_id,
        "text": text,
        "silent": False,
        "created_at": now,
    }
    connection = session.connection()
    message_id = connection.execute(_INSERT, values).scalar_one()
    message = Message(id=message_id, **values)
    place = {"chat": seat.chat_id, "user": seat.user_id, "seq": message.seq}
    connection.execute(_COUNT, place)
    connection.execute(_READ, place)
    job_id = outbox.enqueue(
        session, message=message, deliver_at=now, ttl_s=ttl_s, now=now
    )
    return Posted(message, job_id, is_new=True)


def _posted_before(session: Session, seat: Seat, client_id: str) -> Posted | None:
    row = session.execute(
        select(Message, PushJob.id)
        .join(PushJob, PushJob.message_id == Message.id)
        .where(
            Message.chat_id == seat.chat_id,
            Message.sender_id == seat.user_id,
            Message.client_id == client_id,
            PushJob.kind == MESSAGE,
            PushJob.parent_id.is_(None),
        )
    ).first()
    return Posted(row[0], row[1], is_new=False) if row else None


def add_members(session: Session, chat: Chat, user_ids: Sequence[int]) -> list[int]:
    """Seat those who are not in the chat yet; returns who they are.

    The users must exist and the chat must have been read for update.
    """
    new: list[int] = []
    for ids in in_slices(sorted(set(user_ids))):
        seated = set(
            session.scalars(
                select(Member.user_id).where(
                    Member.chat_id == chat.id, Member.user_id.in_(ids)
                )
            )
        )
        new += [user_id for user_id in ids if user_id not in seated]
    _seat_all(session, chat, new, MEMBER)
    return new


def _seat_all(session: Session, chat: Chat, ids: Sequence[int], role: str) -> None:
    rows = [
        {
            "chat_id": chat.id,
            "user_id": user_id,
            "role": role,
            "joined_seq": chat.last_seq,
            "read_seq": chat.last_seq,
            "muted_until": None,
        }
        for user_id in ids
    ]
    if rows:
        session.execute(insert(Member), rows)


def remove_member(session: Session, chat_id: int, user_id: int) -> None:
    """Raises NotFound when the user is not in the chat."""
    removed = session.execute(
        delete(Member)
        .where(Member.chat_id == chat_id, Member.user_id == user_id)
        .execution_options(synchronize_session=False)
    )
    if not removed.rowcount:  # type: ignore[attr-defined]
        raise NotFound("This user is not a member of the conversation.")


def member_ids(
    session: Session, chat_id: int, *, after: int = 0, limit: int
) -> Sequence[int]:
    """Members in the order of their ids."""
    return session.scalars(
        select(Member.user_id)
        .where(Member.chat_id == chat_id, Member.user_id > after)
        .order_by(Member.user_id)
        .limit(limit)
    ).all()


def count_members(session: Session, chat_id: int) -> int:
    return session.scalars(
        select(func.count()).select_from(Member).where(Member.chat_id == chat_id)
    ).one()


def history(
    session: Session,
    chat_id: int,
    *,
    after: int | None,
    before: int | None,
    limit: int,
) -> list[Message]:
    """Up to `limit` messages in order: the first after a number, else the last."""
    query = select(Message).where(Message.chat_id == chat_id)
    if before is not None:
        query = query.where(Message.seq < before)
    if after is not None:
        query = query.where(Message.seq > after).order_by(Message.seq)
        return list(session.scalars(query.limit(limit)))
    newest = session.scalars(query.order_by(Message.seq.desc()).limit(limit)).all()
    return list(reversed(newest))
