"""Sessions of operators that were ended before their time.

A session is a signed cookie, so it is valid in every process, and its end has to be
stored where all of them look.
"""

from datetime import datetime

from sqlalchemy import bindparam, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datastore.hashes import sha256
from datastore.prepared import Link, Prepared
from models.accounts import EndedSession

_FIND = Prepared(
    select(EndedSession.expires_at).where(
        EndedSession.session_hash == bindparam("session_hash")
    )
)


def end(session: Session, cookie: str, expires_at: datetime, now: datetime) -> None:
    """End a session, and forget those that have expired by themselves."""
    session.execute(delete(EndedSession).where(EndedSession.expires_at <= now))
    # Another request may end the same one.
    try:
        with session.begin_nested():
            session.add(
                EndedSession(session_hash=sha256(cookie), expires_at=expires_at)
            )
    except IntegrityError:
        pass


def has_ended(link: Link, cookie: str) -> bool:
    return _FIND.first(link, {"session_hash": sha256(cookie)}) is not None
