"""The providers' access tokens, and which process refreshes each of them."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.pushes import ProviderToken


class Token(NamedTuple):
    """An access token that all processes use."""

    token: str
    issued_at: datetime
    expires_at: datetime


def find(session: Session, name: str) -> tuple[Token | None, datetime | None]:
    """The token of that name, even if expired, and the deadline of its refresh.

    The token is None if there is none yet, or if it was refused. The deadline is None
    if no process is refreshing the token.
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
    """Claim the refresh until the given time; False if another process has it.

    Also False if `instead_of` is no longer the current token.
    """
    if session.get(ProviderToken, name) is None:
        _insert(session, name)
    taken = session.execute(
        update(ProviderToken)
        .where(
            ProviderToken.name == name,
            # No newer one has been saved since ours was read.
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
        # Another process was first, and its row will do.
        return


def save(session: Session, name: str, refresher: str, token: Token) -> None:
    """End the refresh with a new token; does nothing if the claim was lost."""
    session.execute(
        update(ProviderToken)
        .where(ProviderToken.name == name, ProviderToken.refresher == refresher)
        .values(**token._asdict(), refresher=None, refresh_until=None)
    )


def give_up_turn(session: Session, name: str, refresher: str) -> None:
    """End the refresh without a token."""
    session.execute(
        update(ProviderToken)
        .where(ProviderToken.name == name, ProviderToken.refresher == refresher)
        .values(refresher=None, refresh_until=None)
    )


def refuse(
    session: Session, name: str, token: str, *, now: datetime, not_since: datetime
) -> bool:
    """Delete exactly this token, unless one was already refused after `not_since`."""
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
