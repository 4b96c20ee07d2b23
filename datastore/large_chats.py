"""Creates conversations of very many members in short transactions.

One transaction for all of them would have every sender wait for its end on SQLite.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datastore.accounts import same_external_id
from datastore.chats import ENDED, insert_members
from models.chats import Chat, Role
from models.errors import Conflict


def begin(
    session: Session, name: str, *, now: datetime, retention_days: int | None = None
) -> int:
    """A chat (id) that is to get many members, in many transactions.

    Until `reveal` it is like one that has been ended: nothing shows it. If it is never
    revealed, because the process was killed, it stays like this.
    """
    chat = Chat(
        name=name,
        last_seq=0,
        retention_days=retention_days,
        created_at=now,
        deleted_at=now,
    )
    session.add(chat)
    session.flush()
    return chat.id


def seat(session: Session, chat_id: int, user_ids: Sequence[int], role: Role) -> None:
    """Add users, who must be new, to a chat that has not been revealed yet."""
    insert_members(session, session.get_one(Chat, chat_id), user_ids, role)


def reveal(
    session: Session, chat_id: int, external_id: str | None
) -> tuple[Chat, bool]:
    """The chat with its external id, or another chat that has got this id meanwhile."""
    known = find(session, external_id)
    if known is not None:
        return known, False
    chat = session.get_one(Chat, chat_id)
    try:
        with session.begin_nested():
            chat.external_id, chat.deleted_at = external_id, None
    except IntegrityError:
        # Another request inserted the same one between our two statements.
        known = find(session, external_id)
        if known is None:
            raise
        return known, False
    return chat, True


def find(session: Session, external_id: str | None) -> Chat | None:
    """The chat of this id; raises Conflict for one that has been ended."""
    chat = same_external_id(session, Chat, external_id)
    if chat is not None and chat.deleted_at is not None:
        raise Conflict(ENDED)
    return chat
