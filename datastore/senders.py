"""Who has sent a message, as its readers see it.

A message of the system has a row of `user` as its sender like every other one, so that
all code joins it, older versions, too. That row counts as deleted: nobody can sign in
as it, change it or add it to a conversation.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from datastore.accounts import get_or_create
from models.accounts import SYSTEM, User


class Sender(NamedTuple):
    """The sender of a message; both are None for a message of the system."""

    id: int | None
    name: str | None


NO_SENDER = Sender(None, None)
# For queries that join the sender.
COLUMNS: tuple[Any, ...] = (User.id, User.name, User.external_id)


def of_row(user_id: int | None, name: str | None, external_id: str | None) -> Sender:
    """The sender of a row of `COLUMNS`."""
    return NO_SENDER if external_id == SYSTEM else Sender(user_id, name)


def system_user(session: Session, now: datetime) -> int:
    """The user (id) who stands for the system; made by its first message."""
    found = session.scalar(select(User.id).where(User.external_id == SYSTEM))
    if found is not None:
        return found
    # Older versions show the name.
    new = User(name="System", external_id=SYSTEM, created_at=now, deleted_at=now)
    return get_or_create(session, new)[0].id
