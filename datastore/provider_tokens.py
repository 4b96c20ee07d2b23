"""The providers' access tokens, and whose turn it is to make the next one."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.pushes import ProviderToken


class Token(NamedTuple):
    """A token as it is shared."""

    token: str
    issued_at: datetime
    expires_at: datetime


def find(session: Session, name: str) -> tuple[Token | None, datetime | None]:
    """The token of that name, however old, and until when its replacement is awaited.

    The token is None if there is none yet or it was refused; the time, if nobody is
    making another one.
    """
    row = session.get(ProviderToken, name)
    if row is None:
        return None, None
    if row.token is None or row.issued_at is None or row.expires_at is None:
        return None, row.refresh_until
    return Token(row.token, row.issued_at, row.expires_at), row.refresh_until


def take_turn(
    session: Session,
    name: str,
    refresher: str,
    *,
    instead_of: str | None,
    now: datetime,
    until: datetime,
) -> bool:
    """Whether the refresher is the one to replace that token, until the given time."""
    if session.get(ProviderToken, name) is None:
        _insert(session, name)
    taken = session.execute(
        update(ProviderToken)
        .where(
            ProviderToken.name == name,
            # Nobody has made a newer one since we looked.
            ProviderToken.token.is_(None)
            if instead_of is None
            else ProviderToken.token == instead_of,
            or_(
                ProviderToken.refresh_until.is_(None),
                ProviderToken.refresh_until <= now,
            ),
        )
        .values(refresher=refresher, refresh_until=until)
    )
    return bool(taken.rowcount)  # type: ignore[attr-defined]


def _insert(session: Session, name: str) -> None:
    try:
        with session.begin_nested():
            session.add(ProviderToken(name=name))
    except IntegrityError:
        # Another process was first; its row serves as well.
        return


def save(session: Session, name: str, refresher: str, token: Token) -> None:
    """End the refresher's turn with a new token; nothing happens if it has lost it."""
    session.execute(
        update(ProviderToken)
        .where(ProviderToken.name == name, ProviderToken.refresher == refresher)
        .values(**token._asdict(), refresher=None, refresh_until=None)
    )


def give_up_turn(session: Session, name: str, refresher: str) -> None:
    """End the refresher's turn without a token."""
    session.execute(
        update(ProviderToken)
        .where(ProviderToken.name == name, ProviderToken.refresher == refresher)
        .values(refresher=None, refresh_until=None)
    )


def refuse(
    session: Session, name: str, token: str, *, now: datetime, not_since: datetime
) -> bool:
    """Forget this very token, unless one was refused after `not_since` already."""
    refused = session.execute(
        update(ProviderToken)
        .where(
            ProviderToken.name == name,
            ProviderToken.token == token,
            or_(
                ProviderToken.refused_at.is_(None),
                ProviderToken.refused_at <= not_since,
            ),
        )
        .values(token=None, refused_at=now)
    )
    return bool(refused.rowcount)  # type: ignore[attr-defined]
