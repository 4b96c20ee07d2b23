"""What can happen to a phone and its user between the first try and the retry.

Each change is done as the API does it, after the message was sent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from datastore import accounts, chats
from datastore.hashes import sha256
from models.accounts import Device, User
from models.base import utc_now
from models.chats import Member
from models.pushes import MESSAGE, READ, WITHDRAW


@dataclass(frozen=True)
class Phone:
    """The phone that answered "later", and people of its conversation."""

    chat: int
    device: int
    user: int
    sender: int
    other_member: int


def _sign_in(session: Session, phone: Phone, user: int, **changes: str) -> None:
    device = session.get_one(Device, phone.device)
    # The conversation was made with other hashes.
    device.token_hash = sha256(device.token)
    session.flush()
    known = {
        "platform": device.platform,
        "token": device.token,
        "app": device.app,
        "environment": device.environment,
        "locale": None,
    }
    now = utc_now()
    accounts.register_device(session, user, **(known | changes), now=now)


def _new_user(session: Session) -> int:
    # With an id, because the conversation's users were inserted with theirs.
    new = (session.scalar(select(func.max(User.id))) or 0) + 1
    session.add(User(id=new, name="new", created_at=utc_now()))
    session.flush()
    return new


def _join(session: Session, phone: Phone, user: int) -> None:
    chat = chats.get(session, phone.chat, for_update=True)
    chats.add_members(session, chat, [user])


def nothing(session: Session, phone: Phone) -> None:
    """The phone was busy, and that was all."""


def signed_in_by_a_later_member(session: Session, phone: Phone) -> None:
    user = _new_user(session)
    _join(session, phone, user)
    _sign_in(session, phone, user)


def signed_in_by_a_stranger(session: Session, phone: Phone) -> None:
    _sign_in(session, phone, _new_user(session))


def signed_in_by_the_sender(session: Session, phone: Phone) -> None:
    _sign_in(session, phone, phone.sender)


def signed_in_by_another_member(session: Session, phone: Phone) -> None:
    _sign_in(session, phone, phone.other_member)


def signed_in_again(session: Session, phone: Phone) -> None:
    _sign_in(session, phone, phone.user, app="new.app", environment="sandbox")


def another_token(session: Session, phone: Phone) -> None:
    _sign_in(session, phone, phone.user, token=f"{phone.device:064x}")


def another_platform(session: Session, phone: Phone) -> None:
    _sign_in(session, phone, phone.user, platform="fcm")


def left(session: Session, phone: Phone) -> None:
    now = utc_now()
    chats.remove_member(session, phone.chat, phone.user, now, by_themselves=True)


def left_and_joined_again(session: Session, phone: Phone) -> None:
    left(session, phone)
    _join(session, phone, phone.user)


def muted(session: Session, phone: Phone) -> None:
    _mute(session, phone, hours=1)


def muted_until_recently(session: Session, phone: Phone) -> None:
    _mute(session, phone, hours=-1)


def _mute(session: Session, phone: Phone, hours: int) -> None:
    session.execute(
        update(Member)
        .where(Member.chat_id == phone.chat, Member.user_id == phone.user)
        .values(muted_until=utc_now() + timedelta(hours=hours))
    )


def disabled(session: Session, phone: Phone) -> None:
    session.get_one(Device, phone.device).disabled_at = utc_now()


def logged_out(session: Session, phone: Phone) -> None:
    accounts.remove_device(session, phone.user, phone.device)


def another_phone_of_a_stranger(session: Session, phone: Phone) -> None:
    """It has no part in the conversation, so it changes nothing."""
    now = utc_now()
    row = {"platform": "apns", "environment": "production", "registered_at": now}
    user = _new_user(session)
    name = f"stranger-{user}"
    row |= {"user_id": user, "token": name, "token_hash": name}
    session.execute(insert(Device), [row])


@dataclass(frozen=True)
class Expected:
    """Which kinds of pushes go to the phone now."""

    # As a retry, because it answered "later" before the change.
    retried: frozenset[str]
    # As a first try, if the fan-out comes to it after the change.
    tried: frozenset[str]


def _kinds(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


_ALL = _kinds(MESSAGE, WITHDRAW, READ)
_NONE = _kinds()
# The message may still be shown there, but nothing in the database leads to it.
_ONLY_AGAIN = Expected(retried=_kinds(WITHDRAW), tried=_NONE)
_TO_WITHDRAW = Expected(retried=_kinds(WITHDRAW), tried=_kinds(WITHDRAW))

Change = Callable[[Session, Phone], None]

# A read mark is for the phone's first user here.
CHANGES: dict[Change, Expected] = {
    nothing: Expected(_ALL, _ALL),
    another_phone_of_a_stranger: Expected(_ALL, _ALL),
    signed_in_again: Expected(_ALL, _ALL),
    another_token: Expected(_ALL, _ALL),
    another_platform: Expected(_ALL, _ALL),
    muted_until_recently: Expected(_ALL, _ALL),
    muted: Expected(_kinds(WITHDRAW, READ), _kinds(WITHDRAW, READ)),
    signed_in_by_another_member: Expected(
        _kinds(MESSAGE, WITHDRAW), _kinds(MESSAGE, WITHDRAW)
    ),
    signed_in_by_a_later_member: _TO_WITHDRAW,
    signed_in_by_the_sender: _TO_WITHDRAW,
    signed_in_by_a_stranger: _ONLY_AGAIN,
    left: _ONLY_AGAIN,
    left_and_joined_again: _ONLY_AGAIN,
    disabled: Expected(_NONE, _NONE),
    logged_out: Expected(_NONE, _NONE),
}
