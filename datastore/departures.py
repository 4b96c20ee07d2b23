"""Those who have left a conversation, or were removed from it.

A membership ends with its row in `member`, so no query about members has to know of
those who left. What outlives it is here: when it ended, by whom, and the mute.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from models.chats import Departure


class Left(NamedTuple):
    """What outlives a membership."""

    # False: an owner or the service has removed the member.
    by_themselves: bool
    muted_until: datetime | None


def record(
    session: Session, chat_id: int, user_id: int, left: Left, now: datetime
) -> None:
    """Replaces what an older departure has left, which may be there beside a member."""
    forget(session, chat_id, (user_id,))
    values = {"chat_id": chat_id, "user_id": user_id, "left_at": now}
    session.execute(insert(Departure).values(**values, **left._asdict()))


def find(session: Session, chat_id: int, user_ids: Collection[int]) -> dict[int, Left]:
    """Those of some users who have left; says nothing about members."""
    rows = session.execute(
        select(Departure.user_id, Departure.by_themselves, Departure.muted_until).where(
            Departure.chat_id == chat_id, Departure.user_id.in_(user_ids)
        )
    )
    return {row.user_id: Left(row.by_themselves, row.muted_until) for row in rows}


def forget(session: Session, chat_id: int, user_ids: Collection[int]) -> None:
    """For users who are members again."""
    if user_ids:
        session.execute(
            delete(Departure)
            .where(Departure.chat_id == chat_id, Departure.user_id.in_(user_ids))
            .execution_options(synchronize_session=False)
        )
