"""Whose devices a job is for, as SQL: the statements that a claim's reads are made of.

Building a statement costs ten times what running it does, so each is built once, with
parameters for all that differs between two claims of the same shape.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    bindparam,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session, aliased

from datastore.outbox import Claim
from models.accounts import Device
from models.chats import Chat, Member, Message
from models.pushes import MESSAGE

# Makes a parameter of a name; where one statement is for several claims, each of them
# has names of its own.
Parameter = Callable[..., BindParameter[Any]]


class Shape(NamedTuple):
    """What a claim's statements depend on, apart from their values."""

    # Whether the muted are left alone, and some are told all the same.
    heeds_mute: bool
    has_mentions: bool
    for_one_user: bool
    is_bounded: bool


def shape_of(claim: Claim) -> Shape:
    heeds_mute = claim.kind == MESSAGE
    return Shape(
        heeds_mute=heeds_mute,
        has_mentions=heeds_mute and bool(claim.mentions),
        for_one_user=claim.only_user is not None,
        is_bounded=claim.until_user is not None,
    )


def values_of(claim: Claim, after: tuple[int, int], now: datetime) -> dict[str, Any]:
    """For all parameters that a shape may have."""
    return {
        "chat": claim.chat_id,
        "seq": claim.seq,
        "sender": claim.sender_id,
        "only_user": claim.only_user,
        "until_user": claim.until_user,
        "mentions": claim.mentions,
        "user": after[0],
        "device": after[1],
        "now": now,
    }


def devices(shape: Shape, parameter: Parameter = bindparam) -> Select[Any]:
    """Devices of those who were members when it was written, and still are."""
    user = parameter("user")
    query = (
        select(Member)
        .join(Device, Device.user_id == Member.user_id)
        .where(
            Member.chat_id == parameter("chat"),
            Member.joined_seq < parameter("seq"),
            listens(shape, parameter),
            Device.disabled_at.is_(None),
            # The first line bounds the index; the second is exact about the devices.
            Member.user_id >= user,
            or_(Member.user_id > user, Device.id > parameter("device")),
        )
    )
    if shape.for_one_user:
        return query.where(Member.user_id == parameter("only_user"))
    query = query.where(Member.user_id != parameter("sender"))
    if shape.is_bounded:
        query = query.where(Member.user_id <= parameter("until_user"))
    return query


def listens(shape: Shape, parameter: Parameter = bindparam) -> ColumnElement[bool]:
    """Not muted, or mentioned; what is taken away is taken away from everybody."""
    if not shape.heeds_mute:
        return true()
    awake = or_(Member.muted_until.is_(None), Member.muted_until <= parameter("now"))
    if not shape.has_mentions:
        return awake
    return or_(awake, Member.user_id.in_(parameter("mentions", expanding=True)))


def unread() -> Any:
    """The badge: what the user has not read, over all conversations."""
    membership, chat = aliased(Member), aliased(Chat)
    return (
        select(func.coalesce(func.sum(chat.last_seq - membership.read_seq), 0))
        .select_from(membership)
        .join(chat, chat.id == membership.chat_id)
        .where(membership.user_id == Member.user_id, chat.deleted_at.is_(None))
        .correlate(Member)
        .scalar_subquery()
    )


_DELETED = (
    select(Message.deleted_at, Chat.deleted_at)
    .join(Chat, Chat.id == Message.chat_id)
    .where(Message.id == bindparam("message"))
)


def is_withdrawn(session: Session, claim: Claim) -> bool:
    """Whether its message, or the chat, has been deleted since it was loaded."""
    found = session.connection().execute(_DELETED, {"message": claim.message_id})
    message, chat = found.one()
    return claim.kind == MESSAGE and bool(message or chat)
