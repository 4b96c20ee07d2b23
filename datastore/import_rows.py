"""Applies the rows of an import: a few statements for any number of rows.

A row states what shall exist. What exists already is kept and nothing is deleted, so
applying the same rows again changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from datastore import departures, device_rows, unread
from datastore.unsubscribe import UNSUBSCRIBED
from models import apns_tokens
from models.accounts import Device, User
from models.chats import MEMBER, OWNER, Chat, Member
from models.deletions import UserDeletion
from models.imports import Kind, Problem, Row

NO_USER = "no user has this external id"
NO_CONVERSATION = "no conversation has this external id"
DELETED = "this user has been deleted"
NOT_THEIRS = "this token is registered by another user"

# The columns that a row may set beside its external id.
NAMED: dict[type[User | Chat], tuple[str, ...]] = {
    User: ("name", "avatar_url"),
    Chat: ("name",),
}
# Built once, because each row of a chunk may name another chat.
_ROLES = select(Member.user_id, Member.role).where(
    Member.chat_id == bindparam("chat"),
    Member.user_id.in_(bindparam("users", expanding=True)),
)


class Put(NamedTuple):
    """The result of applying rows."""

    # Rows that have changed the database.
    changed: int
    problems: list[Problem]


def put(
    session: Session,
    rows: Sequence[Row],
    now: datetime,
    *,
    began_at: datetime | None = None,
) -> Put:
    """Apply up to 1000 rows, by kind, so that each row finds what it refers to.

    Users who were deleted since the import began are not created again.
    """

    def of(kind: Kind) -> list[Row]:
        return [row for row in rows if row.kind == kind]

    problems: list[Problem] = []
    since: dict[str, Any] = {"problems": problems, "began_at": began_at or now}
    changed = _put_named(session, User, of("user"), now, **since)
    changed += _put_named(session, Chat, of("conversation"), now, **since)
    changed += _put_devices(session, of("device"), now, problems)
    changed += _put_members(session, of("member"), problems)
    return Put(changed, sorted(problems))


def _put_named(
    session: Session,
    model: type[User | Chat],
    rows: Sequence[Row],
    now: datetime,
    *,
    problems: list[Problem],
    began_at: datetime,
) -> int:
    # The last of several rows with the same id counts.
    wanted: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        wanted[row.values["external_id"]] |= _named(row)
    columns = NAMED[model]
    known = {
        str(external_id): (number, dict(zip(columns, values, strict=True)))
        for external_id, number, *values in session.execute(
            select(
                model.external_id,
                model.id,
                *(getattr(model, name) for name in columns),
            ).where(model.external_id.in_(wanted))
        )
    }
    # Behind the look for users, so that those are found who are deleted just now.
    missing = set(wanted) - set(known)
    gone = _deleted_since(session, missing, began_at) if model is User else set()
    named = [row for row in rows if row.values["external_id"] in gone]
    problems += [Problem(row.line, "", DELETED) for row in named]
    empty = dict.fromkeys(columns)
    new = [
        {"external_id": external_id, **empty, **values, "created_at": now}
        for external_id, values in wanted.items()
        if external_id in missing - gone
    ]
    changed = [
        {"id": number, **before, **wanted[external_id]}
        for external_id, (number, before) in known.items()
        if {**before, **wanted[external_id]} != before
    ]
    _insert(session, model, new)
    if changed:
        session.execute(update(model), changed)
    return len(new) + len(changed)


def _deleted_since(
    session: Session, external_ids: Collection[str], since: datetime
) -> set[str]:
    """Those of the users who have been deleted since then."""
    if not external_ids:
        return set()
    found = session.scalars(
        select(UserDeletion.external_id).where(
            UserDeletion.external_id.in_(external_ids), UserDeletion.created_at >= since
        )
    )
    return {each for each in found if each is not None}


def _named(row: Row) -> dict[str, Any]:
    """The columns that the row sets."""
    return {name: value for name, value in row.values.items() if name != "external_id"}


def _put_devices(
    session: Session, rows: Sequence[Row], now: datetime, problems: list[Problem]
) -> int:
    users = _user_ids(session, rows)
    wanted: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row.values["user"] in users:
            wanted[_key(row)] = row
        else:
            problems.append(Problem(row.line, "user", NO_USER))
    known = _devices(session, wanted)
    changed, new = 0, []
    for key, row in wanted.items():
        user_id = users[row.values["user"]]
        device = known.get(key)
        if device is None:
            new.append(_new_device(row, user_id, now))
        elif device.user_id != user_id:
            # The phone itself has registered its user; a file must not change that.
            problems.append(Problem(row.line, "token", NOT_THEIRS))
        else:
            changed += _correct(device, row, now)
    _insert(session, Device, new)
    return changed + len(new)


def _key(row: Row) -> tuple[str, str]:
    """The platform, and what all tokens of the phone have in common."""
    platform = row.values["platform"]
    return platform, device_rows.identity(platform, row.values["token"])


def _token(row: Row) -> str:
    """The form that is stored; an older version may have read the file."""
    return apns_tokens.normalise(row.values["platform"], row.values["token"])


def _new_device(row: Row, user_id: int, now: datetime) -> dict[str, Any]:
    platform, token = row.values["platform"], _token(row)
    return {
        "user_id": user_id,
        "platform": platform,
        "token": token,
        "token_hash": device_rows.hash_of(platform, token),
        "app": row.values.get("app"),
        "environment": row.values["environment"],
        "locale": row.values.get("locale"),
        "registered_at": now,
        "disabled_at": None,
        "reason": None,
    }


def _correct(device: Device, row: Row, now: datetime) -> bool:
    """Update a known device; returns whether anything has changed.

    Its environment is kept, because a provider's response may have corrected it, and so
    is the token that its phone has registered, unless it is no longer valid.
    """
    app = row.values.get("app", device.app)
    locale = row.values.get("locale", device.locale)
    stored = apns_tokens.normalise(device.platform, device.token)
    token = stored if device.disabled_at is None else _token(row)
    if (app, locale, token) == (device.app, device.locale, stored):
        return False
    if token != stored:
        device.token = token
    if (app, token) != (device.app, stored) and device.reason != UNSUBSCRIBED:
        # With another app or token, it may be valid again.
        device.registered_at, device.disabled_at, device.reason = now, None, None
    device.app, device.locale = app, locale
    return True


def _put_members(session: Session, rows: Sequence[Row], problems: list[Problem]) -> int:
    users, chats = _user_ids(session, rows), _chats(session, rows)
    wanted: dict[tuple[int, int], str] = {}
    for row in rows:
        user_id = users.get(row.values["user"])
        chat = chats.get(row.values["conversation"])
        if chat is None:
            problems.append(Problem(row.line, "conversation", NO_CONVERSATION))
        elif user_id is None:
            problems.append(Problem(row.line, "user", NO_USER))
        else:
            membership = (chat.id, user_id)
            # An owner in any row stays an owner, because nothing is taken away.
            if wanted.get(membership) != OWNER:
                wanted[membership] = row.values["role"]
    known = _roles(session, wanted)
    seqs = {chat.id: chat.last_seq for chat in chats.values()}
    mutes = _take_mutes(session, [each for each in wanted if each not in known])
    new = [
        _new_member(membership, role, seqs[membership[0]], mutes.get(membership))
        for membership, role in wanted.items()
        if membership not in known
    ]
    promoted = [
        {"chat_id": chat_id, "user_id": user_id, "role": OWNER}
        for (chat_id, user_id), role in known.items()
        if role == MEMBER and wanted[chat_id, user_id] == OWNER
    ]
    _insert(session, Member, new)
    if promoted:
        session.execute(update(Member), promoted)
    return len(new) + len(promoted)


def _new_member(
    membership: tuple[int, int], role: str, seq: int, muted_until: datetime | None
) -> dict[str, Any]:
    return {
        "chat_id": membership[0],
        "user_id": membership[1],
        "role": role,
        "joined_seq": seq,
        "read_seq": seq,
        "muted_until": muted_until,
        "caught_up": unread.CAUGHT_UP,
    }


def _take_mutes(
    session: Session, memberships: Collection[tuple[int, int]]
) -> dict[tuple[int, int], datetime | None]:
    """The mutes of those who have left, who are now members again."""
    mutes: dict[tuple[int, int], datetime | None] = {}
    for chat_id, users in _by_chat(memberships).items():
        left = departures.find(session, chat_id, users)
        departures.forget(session, chat_id, list(left))
        for user_id, each in left.items():
            mutes[chat_id, user_id] = each.muted_until
    return mutes


def _user_ids(session: Session, rows: Sequence[Row]) -> dict[str, int]:
    named = {row.values["user"] for row in rows}
    found = session.execute(
        select(User.external_id, User.id).where(User.external_id.in_(named))
    )
    return {str(external_id): user_id for external_id, user_id in found}


def _chats(session: Session, rows: Sequence[Row]) -> dict[str, Chat]:
    """For update: no message may be posted while members get the `last_seq`."""
    named = {row.values["conversation"] for row in rows}
    found = session.scalars(
        select(Chat)
        .where(Chat.external_id.in_(named), Chat.deleted_at.is_(None))
        .order_by(Chat.id)
        .with_for_update(key_share=True)
    )
    return {str(chat.external_id): chat for chat in found}


def _devices(
    session: Session, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Device]:
    """By platform and token; a query per platform, because their index begins with it.

    Of two rows of a phone, the one that survives when they are joined.
    """
    hashes: dict[str, list[str]] = defaultdict(list)
    for platform, token in keys:
        hashes[platform] += device_rows.hashes(platform, token)
    found: dict[tuple[str, str], list[Device]] = defaultdict(list)
    for platform, some in hashes.items():
        for device in session.scalars(
            select(Device).where(
                Device.platform == platform, Device.token_hash.in_(some)
            )
        ):
            found[_key_of(device)].append(device)
    return {key: device_rows.newest(devices) for key, devices in found.items()}


def _key_of(device: Device) -> tuple[str, str]:
    return device.platform, device_rows.identity(device.platform, device.token)


def _roles(
    session: Session, memberships: Collection[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    """One query per chat, because their index begins with it."""
    return {
        (chat_id, user_id): role
        for chat_id, some in _by_chat(memberships).items()
        for user_id, role in session.connection().execute(
            _ROLES, {"chat": chat_id, "users": some}
        )
    }


def _by_chat(memberships: Collection[tuple[int, int]]) -> dict[int, list[int]]:
    users: dict[int, list[int]] = defaultdict(list)
    for chat_id, user_id in memberships:
        users[chat_id].append(user_id)
    return users


def _insert(session: Session, model: type[Any], rows: list[dict[str, Any]]) -> None:
    if rows:
        session.connection().execute(insert(model), rows)
