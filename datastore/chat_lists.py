"""The list of a user's conversations."""

from typing import NamedTuple

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from datastore import senders, unread
from datastore.chats import MEMBERSHIP_COLUMNS, Membership
from datastore.senders import Sender
from models.accounts import User
from models.chats import Chat, Member, Message


class Listed(NamedTuple):
    """A row of a user's list of conversations."""

    membership: Membership
    external_id: str | None
    last_message: Message | None
    # Of the last message.
    sender: Sender
    unread: int


def list_for(
    session: Session, user_id: int, *, before: tuple[int, int] | None, limit: int
) -> list[Listed]:
    """A user's conversations, those with the newest messages first.

    `before` is the key of a row: (id of its last message or 0, id of the chat).
    The cost grows with the user's conversations, not with their members or messages.
    """
    activity = func.coalesce(Message.id, 0)
    query = (
        select(
            *MEMBERSHIP_COLUMNS,
            *senders.COLUMNS,
            Chat.external_id,
            Message,
            unread.count(),
        )
        .join(Member, Member.chat_id == Chat.id)
        .outerjoin(
            Message, (Message.chat_id == Chat.id) & (Message.seq == Chat.last_seq)
        )
        .outerjoin(User, User.id == Message.sender_id)
        .where(Member.user_id == user_id, Chat.deleted_at.is_(None))
        .order_by(activity.desc(), Chat.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(activity, Chat.id) < before)
    columns = len(MEMBERSHIP_COLUMNS)
    return [
        Listed(
            Membership(*row[:columns]),
            external_id=row[-3],
            last_message=row[-2],
            sender=senders.of_row(*row[columns:-3]),
            unread=row[-1],
        )
        for row in session.execute(query)
    ]
