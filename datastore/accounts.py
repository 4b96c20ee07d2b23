"""Users, their API tokens and their devices."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import bindparam, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datastore import device_rows
from datastore.hashes import sha256
from datastore.prepared import Link, Prepared
from models.accounts import ApiToken, Device, User
from models.apns_tokens import normalise
from models.chats import Chat
from models.errors import Conflict, NotFound

# What the app's own backend can name by an external id.
Named = TypeVar("Named", User, Chat)

# Below the number of parameters that every database takes in one statement.
IDS_AT_ONCE = 1000
# Each message is pushed to all of them.
MOST_DEVICES = 50
NO_USER = "There is no such user."


class Identity(NamedTuple):
    """The user behind a bearer token."""

    id: int
    name: str
    # None: the token is the app's own, so we cannot revoke it.
    token_id: int | None


# Every request runs one of these.
_IDENTITY = Prepared(
    select(User.id, User.name, ApiToken.id)
    .join(ApiToken, ApiToken.user_id == User.id)
    .where(
        ApiToken.token_hash == bindparam("token_hash"),
        User.deleted_at.is_(None),
        ApiToken.revoked_at.is_(None),
        or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > bindparam("now")),
    )
)
_BY_ID = Prepared(
    select(User.id, User.name).where(
        User.id == bindparam("known_as"), User.deleted_at.is_(None)
    )
)
_BY_EXTERNAL_ID = Prepared(
    select(User.id, User.name, User.external_id).where(
        User.external_id == bindparam("known_as"), User.deleted_at.is_(None)
    )
)


def add_user(
    session: Session,
    name: str,
    now: datetime,
    *,
    external_id: str | None = None,
    avatar_url: str | None = None,
) -> tuple[User, bool]:
    """A new user, or the one who has this external id; and whether they are new."""
    user = User(
        name=name, external_id=external_id, avatar_url=avatar_url, created_at=now
    )
    return get_or_create(session, user)


def get_or_create(session: Session, new: Named) -> tuple[Named, bool]:
    """The row that has this external id, else the new one; and whether it is new."""
    known = same_external_id(session, type(new), new.external_id)
    if known is not None:
        return known, False
    try:
        with session.begin_nested():
            session.add(new)
    except IntegrityError:
        # Another request inserted the same one between our two statements.
        known = same_external_id(session, type(new), new.external_id)
        if known is None:
            raise
        return known, False
    return new, True


def same_external_id(
    session: Session, model: type[Named], external_id: str | None
) -> Named | None:
    """Raises Conflict if only upper and lower case differ."""
    if external_id is None:
        return None
    found = session.scalar(select(model).where(model.external_id == external_id))
    # A database may compare "ann" and "Ann" as equal.
    if found is not None and found.external_id != external_id:
        raise Conflict("This external id is taken, but for upper and lower case.")
    return found


def change_user(session: Session, user_id: int, changes: Mapping[str, Any]) -> User:
    """Set columns of a user; raises NotFound when there is no such user."""
    # For update, so that a user who is being deleted does not get a name again.
    user = find_user(session, user_id, for_update=True)
    for name, value in changes.items():
        setattr(user, name, value)
    session.flush()
    return user


def find_user(session: Session, user_id: int, *, for_update: bool = False) -> User:
    """Raises NotFound when there is no such user, or not any more."""
    # Without the key, so that inserts of rows that refer to the user need not wait.
    lock = {"key_share": True} if for_update else None
    user = session.get(User, user_id, with_for_update=lock)
    if user is None or user.deleted_at is not None:
        raise NotFound(NO_USER)
    return user


def find_by_external_id(session: Session, external_id: str) -> User:
    """Raises NotFound when no user has this external id."""
    user = session.scalar(select(User).where(User.external_id == external_id))
    if user is None:
        raise NotFound("No user has this external id.")
    return user


def list_users(
    session: Session, *, after: int, limit: int, name: str | None = None
) -> Sequence[User]:
    """Users behind `after` (id); with `name`, those whose name contains it."""
    query = select(User).where(User.id > after, User.deleted_at.is_(None))
    if name is not None:
        query = query.where(User.name.icontains(name, autoescape=True))
    return session.scalars(query.order_by(User.id).limit(limit)).all()


def issue_token(
    session: Session, user_id: int, now: datetime, *, expires_at: datetime | None = None
) -> tuple[str, ApiToken]:
    """A new bearer token, which is shown only now, and its row, which has the hash."""
    find_user(session, user_id)
    token = secrets.token_urlsafe(32)
    row = ApiToken(
        user_id=user_id,
        token_hash=sha256(token),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return token, row


def list_tokens(session: Session, user_id: int) -> Sequence[ApiToken]:
    """Raises NotFound when there is no such user."""
    find_user(session, user_id)
    return session.scalars(
        select(ApiToken).where(ApiToken.user_id == user_id).order_by(ApiToken.id)
    ).all()


def revoke_token(session: Session, user_id: int, token_id: int, now: datetime) -> None:
    """End a token at once; raises NotFound when the user has no such token."""
    token = session.get(ApiToken, token_id)
    if token is None or token.user_id != user_id:
        raise NotFound("The user has no such token.")
    token.revoked_at = token.revoked_at or now
    session.flush()


def identify(link: Link, token: str, now: datetime) -> Identity | None:
    """The user of a bearer token, if the token is valid."""
    row = _IDENTITY.first(link, {"token_hash": sha256(token), "now": now})
    return Identity(*row) if row else None


def identify_user(link: Link, user_id: int) -> Identity | None:
    row = _BY_ID.first(link, {"known_as": user_id})
    return Identity(row[0], row[1], None) if row else None


def identify_external(link: Link, external_id: str) -> Identity | None:
    """The user to whom the app's own backend has given this id."""
    row = _BY_EXTERNAL_ID.first(link, {"known_as": external_id})
    # A database may compare "ann" and "Ann" as equal.
    if row is None or row[2] != external_id:
        return None
    return Identity(row[0], row[1], None)


def check_users(session: Session, user_ids: Sequence[int]) -> None:
    """Raises NotFound naming up to 20 of the users that do not exist."""
    for ids in in_slices(user_ids):
        are_users = User.id.in_(ids), User.deleted_at.is_(None)
        known = set(session.scalars(select(User.id).where(*are_users)))
        if len(known) < len(ids):
            unknown = sorted(set(ids) - known)[:20]
            raise NotFound("Some of the users do not exist.", user_ids=unknown)


def in_slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]


def register_device(
    session: Session,
    user_id: int,
    *,
    platform: str,
    token: str,
    app: str | None,
    environment: str,
    locale: str | None,
    now: datetime,
) -> tuple[Device, bool]:
    """The device of the token, now this user's, and whether it is new.

    Raises NotFound when there is no such user, and Conflict when the user has too many
    devices.
    """
    # For update: parallel registrations would each count too few devices.
    find_user(session, user_id, for_update=True)
    values = {
        "user_id": user_id,
        # Of a phone's tokens, the one that was registered last is valid.
        "token": normalise(platform, token),
        "app": app,
        "environment": environment,
        "locale": locale,
        "registered_at": now,
        "disabled_at": None,
        "reason": None,
    }
    device = device_rows.find(session, platform, token)
    if device is None or device.user_id != user_id:
        _make_room(session, user_id)
    if device is None:
        token_hash = device_rows.hash_of(platform, token)
        new = Device(platform=platform, token_hash=token_hash, **values)
        try:
            with session.begin_nested():
                session.add(new)
        except IntegrityError:
            # Another request registered the same token between our two statements.
            device = device_rows.find(session, platform, token)
            if device is None:
                raise
        else:
            return new, True
    for name, value in values.items():
        setattr(device, name, value)
    session.flush()
    return device, False


def _make_room(session: Session, user_id: int) -> None:
    """Raises Conflict when the user has the highest number of devices allowed."""
    count = select(func.count()).select_from(Device).where(Device.user_id == user_id)
    if session.scalars(count).one() < MOST_DEVICES:
        return
    # Disabled devices are deleted first: each installation of an app has a new token.
    session.execute(
        delete(Device)
        .where(Device.user_id == user_id, Device.disabled_at.is_not(None))
        .execution_options(synchronize_session=False)
    )
    if session.scalars(count).one() >= MOST_DEVICES:
        raise Conflict(f"A user may have {MOST_DEVICES} devices; remove one first.")


def list_devices(session: Session, user_id: int) -> Sequence[Device]:
    """Raises NotFound when there is no such user."""
    find_user(session, user_id)
    return session.scalars(
        select(Device).where(Device.user_id == user_id).order_by(Device.id)
    ).all()


def remove_device(session: Session, user_id: int, device_id: int) -> None:
    """Raises NotFound when the user has no such device."""
    removed = session.execute(
        delete(Device)
        .where(Device.id == device_id, Device.user_id == user_id)
        .execution_options(synchronize_session=False)
    )
    if not removed.rowcount:  # type: ignore[attr-defined]
        raise NotFound("This user has no such device.")
