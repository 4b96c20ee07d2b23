"""All that is stored about a user, read page by page.

Each page is a transaction of its own, so a large export delays no other request and
takes little memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from models.accounts import ApiToken, Device, User
from models.chats import Chat, Departure, Member, Message
from models.pushes import PushFailure

ROWS_PER_PAGE = 200
CHATS_PER_LOOK = 200
# Numbers of a conversation that are looked through at once for messages of the user.
MESSAGES_PER_LOOK = 1000
FAILURES_PER_LOOK = 2000

Record = Mapping[str, Any]
# Where the next page begins.
Key = tuple[int, ...]
START: Final[Key] = (0, 0)


class Page(NamedTuple):
    """A part of an export; it may be empty, and `next` is None if it is the last."""

    records: Sequence[Record]
    next: Key | None


def _user(session: Session, user_id: int, after: Key) -> Page:
    user = session.get_one(User, user_id)
    names = ("id", "external_id", "name", "avatar_url", "created_at")
    return Page([_record("user", user, names)], None)


def _tokens(session: Session, user_id: int, after: Key) -> Page:
    query = select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.id > after[0])
    rows = session.scalars(query.order_by(ApiToken.id).limit(ROWS_PER_PAGE)).all()
    names = ("id", "created_at", "expires_at", "revoked_at")
    records = [_record("token", row, names) for row in rows]
    return Page(records, (rows[-1].id,) if len(rows) == ROWS_PER_PAGE else None)


_OF_DEVICE = (
    *("id", "platform", "token", "app", "environment", "locale"),
    *("registered_at", "disabled_at", "reason"),
)


def _devices(session: Session, user_id: int, after: Key) -> Page:
    query = select(Device).where(Device.user_id == user_id, Device.id > after[0])
    rows = session.scalars(query.order_by(Device.id).limit(ROWS_PER_PAGE)).all()
    records = [_record("device", row, _OF_DEVICE) for row in rows]
    return Page(records, (rows[-1].id,) if len(rows) == ROWS_PER_PAGE else None)


def _memberships(session: Session, user_id: int, after: Key) -> Page:
    rows = session.execute(
        select(Member, Chat)
        .join(Chat, Chat.id == Member.chat_id)
        .where(Member.user_id == user_id, Member.chat_id > after[0])
        .order_by(Member.chat_id)
        .limit(ROWS_PER_PAGE)
    ).all()
    names = ("role", "joined_seq", "read_seq", "muted_until")
    records = [
        {
            **_record("membership", member, names),
            "conversation": chat.id,
            "external_id": chat.external_id,
            "name": chat.name,
            "ended_at": chat.deleted_at,
        }
        for member, chat in rows
    ]
    is_full = len(rows) == ROWS_PER_PAGE
    return Page(records, (rows[-1][1].id,) if is_full else None)


def _departures(session: Session, user_id: int, after: Key) -> Page:
    """No index begins with the user, so all conversations are looked at."""
    ids = _chats_behind(session, after[0])
    if not ids:
        return Page([], None)
    rows = session.scalars(
        select(Departure)
        .where(Departure.chat_id.in_(ids), Departure.user_id == user_id)
        .order_by(Departure.chat_id)
    )
    names = ("left_at", "by_themselves", "muted_until")
    records = [
        {**_record("departure", row, names), "conversation": row.chat_id}
        for row in rows
    ]
    return Page(records, (ids[-1],))


def _messages(session: Session, user_id: int, after: Key) -> Page:
    """Behind a message of a conversation; a number of 0 is behind all of them."""
    chat_id, seq = after
    if not seq:
        ids = _chats_behind(session, chat_id)
        if not ids:
            return Page([], None)
        found = session.scalar(
            select(Chat.id)
            .where(
                Chat.id.in_(ids),
                exists().where(
                    Message.chat_id == Chat.id, Message.sender_id == user_id
                ),
            )
            .order_by(Chat.id)
            .limit(1)
        )
        if found is None:
            return Page([], (ids[-1], 0))
        chat_id, seq = found, 1
    return _messages_of(session, user_id, chat_id, seq)


_OF_MESSAGE = (
    *("id", "seq", "client_id", "text", "data", "mentions", "silent", "kind"),
    *("notification", "created_at", "edited_at", "deleted_at"),
)


def _messages_of(session: Session, user_id: int, chat_id: int, first: int) -> Page:
    """From a number on."""
    numbers = select(Message.seq).where(Message.chat_id == chat_id)
    until = first + MESSAGES_PER_LOOK
    rows = session.scalars(
        select(Message)
        .where(
            Message.chat_id == chat_id,
            Message.seq >= first,
            Message.seq < until,
            Message.sender_id == user_id,
        )
        .order_by(Message.seq)
        .limit(ROWS_PER_PAGE)
    ).all()
    records = [
        {**_record("message", row, _OF_MESSAGE), "conversation": chat_id}
        for row in rows
    ]
    if len(rows) == ROWS_PER_PAGE:
        return Page(records, (chat_id, rows[-1].seq + 1))
    more = session.scalar(
        numbers.where(Message.seq >= until).order_by(Message.seq).limit(1)
    )
    return Page(records, (chat_id, more or 0))


def _failures(session: Session, user_id: int, after: Key) -> Page:
    """What providers say about the user's devices; no index begins with the device."""
    job_id, device_id = after
    rows = session.execute(
        select(PushFailure, Device.user_id)
        .outerjoin(Device, Device.id == PushFailure.device_id)
        .where(
            PushFailure.job_id >= job_id,
            or_(PushFailure.job_id > job_id, PushFailure.device_id > device_id),
        )
        .order_by(PushFailure.job_id, PushFailure.device_id)
        .limit(FAILURES_PER_LOOK)
    ).all()
    names = ("job_id", "device_id", "outcome", "reason", "attempts", "next_attempt_at")
    records = [
        _record("push_failure", row, names) for row, owner in rows if owner == user_id
    ]
    if len(rows) < FAILURES_PER_LOOK:
        return Page(records, None)
    return Page(records, (rows[-1][0].job_id, rows[-1][0].device_id))


def _chats_behind(session: Session, chat_id: int) -> list[int]:
    query = select(Chat.id).where(Chat.id > chat_id).order_by(Chat.id)
    return list(session.scalars(query.limit(CHATS_PER_LOOK)))


def _record(kind: str, row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {"type": kind, **{name: getattr(row, name) for name in names}}


Part = Callable[[Session, int, Key], Page]
PARTS: tuple[Part, ...] = (
    *(_user, _tokens, _devices, _memberships, _departures, _messages, _failures),
)


def pages(read: Callable[[Part, Key], Page]) -> Iterator[Sequence[Record]]:
    """All pages that are not empty; `read` calls a part in a transaction."""
    for part in PARTS:
        key: Key | None = START
        while key is not None:
            page = read(part, key)
            if page.records:
                yield page.records
            key = page.next
