"""The providers' access tokens, and which process refreshes each of them.

A time that is too far ahead was stored while a host's clock was wrong, and means
nothing: otherwise a token would be used, or a refresh awaited, until that time comes.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.pushes import ProviderToken

# The clocks of hosts, and a provider's, may differ by this.
CLOCK_SKEW = timedelta(minutes=1)


class Token(NamedTuple):
    """An access token that all processes use."""

    token: str
    issued_at: datetime
    expires_at: datetime

    def is_valid(self, now: datetime) -> bool:
        return self.issued_at - CLOCK_SKEW <= now < self.expires_at


class Found(NamedTuple):
    """What is stored about the token of a name."""

    # Maybe it has expired. None if there is none yet, or if it was refused.
    token: Token | None
    # When the process that refreshes it has to be done; None if no process does.
    refresh_until: datetime | None
    # The name of that process.
    refresher: str | None = None

    def is_refreshed(self, now: datetime, longest: timedelta) -> bool:
        """Whether a process refreshes the token now, which takes `longest` at most."""
        until = self.refresh_until
        return until is not None and now < until <= now + longest + CLOCK_SKEW


def find(session: Session, name: str) -> Found:
    row = session.get(ProviderToken, name)
    if row is None:
        return Found(None, None)
    if row.token is None or row.issued_at is None or row.expires_at is None:
        return Found(None, row.refresh_until, row.refresher)
    token = Token(row.token, row.issued_at, row.expires_at)
    return Found(token, row.refresh_until, row.refresher)


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
                ProviderToken.refresh_until > until + CLOCK_SKEW,
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
                ProviderToken.refused_at > now + CLOCK_SKEW,
            ),
        )
        .values(token=None, refused_at=now)
    )
    return bool(refused.rowcount)  # type: ignore[attr-defined]
