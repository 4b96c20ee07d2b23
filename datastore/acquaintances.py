"""Users who share a conversation."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from datastore.accounts import in_slices
from models.chats import Chat, Member


def among(session: Session, user_id: int, others: Sequence[int]) -> set[int]:
    """Those of the others who share a conversation with the user that has not ended."""
    theirs = aliased(Member)
    found: set[int] = set()
    for ids in in_slices(others):
        shared = (
            select(theirs.user_id)
            .join(Member, Member.chat_id == theirs.chat_id)
            .join(Chat, Chat.id == Member.chat_id)
            .where(
                Member.user_id == user_id,
                Chat.deleted_at.is_(None),
                theirs.user_id.in_(ids),
            )
        )
        found.update(session.scalars(shared.distinct()))
    return found
