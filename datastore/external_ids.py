"""Users and conversations by the names that the app's own backend has for them."""

from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.accounts import User
from models.chats import Chat
from models.errors import Conflict

Named = TypeVar("Named", User, Chat)


def add(session: Session, new: Named) -> tuple[Named, bool]:
    """The row, or the one that has its external id already; and whether it is new."""
    known = _find(session, new)
    if known is not None:
        return known, False
    try:
        with session.begin_nested():
            session.add(new)
    except IntegrityError:
        # Another request made the same one between our two statements.
        known = _find(session, new)
        if known is None:
            raise
        return known, False
    return new, True


def _find(session: Session, wanted: Named) -> Named | None:
    if wanted.external_id is None:
        return None
    model = type(wanted)
    found = session.scalar(select(model).where(model.external_id == wanted.external_id))
    # A database may take "ann" and "Ann" for the same.
    if found is not None and found.external_id != wanted.external_id:
        raise Conflict("This external id is taken, but for upper and lower case.")
    return found
