"""Erases what messages say; their places, numbers and jobs stay."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, null, select, update
from sqlalchemy.orm import Session

from datastore import unread
from models.chats import Message

# Notifications of older messages are no longer withdrawn when many are erased: each
# withdrawal is a push to all devices of the conversation.
WITHDRAWN_FOR = timedelta(days=1)


def erase(
    session: Session, chat_id: int, messages: Sequence[Message], now: datetime
) -> None:
    """Empty messages of a chat, which must have been read for update.

    None of them may have been deleted before.
    """
    session.execute(
        update(Message)
        .where(Message.id.in_([each.id for each in messages]))
        .values(
            text="",
            data=null(),
            mentions=null(),
            notification=null(),
            deleted_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    unread.leave_out(session, chat_id, [each.seq for each in messages])


def find_some(
    session: Session, chat_id: int, *, sender_id: int | None, after: int, limit: int
) -> Sequence[Message]:
    """Up to `limit` messages behind `after` that are not deleted, locked, by number.

    Only the next `limit` numbers are looked at, so a look is short in every chat.
    """
    query = select(Message).where(
        Message.chat_id == chat_id,
        Message.seq > after,
        Message.seq <= after + limit,
        Message.deleted_at.is_(None),
    )
    if sender_id is not None:
        query = query.where(Message.sender_id == sender_id)
    return session.scalars(query.order_by(Message.seq).with_for_update()).all()


def last_seq(session: Session, chat_id: int) -> int:
    """The number of the chat's newest message that is still there."""
    return (
        session.scalar(select(func.max(Message.seq)).where(Message.chat_id == chat_id))
        or 0
    )
