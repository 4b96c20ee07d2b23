"""The devices a job is for, as parts of SQL statements.

`members` says it for first tries and for retries alike, at the moment of the try. Only
a withdrawal is tried again on phones wherever it has been tried once (`retries.py`).

A browser has to show something for each push: Safari ends a subscription after three
pushes that show nothing. So browsers get no silent message and no read mark, and a
withdrawal only where it replaces the message, as a notification of its own.

Building a statement costs ten times what running it does. So each is built once for
all claims of the same shape, with parameters for the values that differ.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    and_,
    bindparam,
    exists,
    false,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session, aliased

from datastore.outbox import Claim
from datastore.prepared import link_of
from datastore.prepared_lists import PreparedForIds
from models.accounts import Device
from models.chats import Chat, Member, Message
from models.pushes import BROWSER, MESSAGE, WITHDRAW, PushFailure, PushJob

# Makes a parameter of a name. A statement for several claims gives each of them
# parameters with names of their own.
Parameter = Callable[..., BindParameter[Any]]


NOT_A_BROWSER: ColumnElement[bool] = Device.platform != BROWSER


class Shape(NamedTuple):
    """The properties of a claim that its statements depend on, apart from values."""

    # A message is not for members who have muted the chat, unless they are mentioned,
    # and it changes what is unread.
    is_message: bool
    # A withdrawal is for all devices that may show the message.
    is_withdrawal: bool
    is_silent: bool
    has_mentions: bool
    for_one_user: bool
    is_bounded: bool


def shape_of(claim: Claim) -> Shape:
    is_message = claim.kind == MESSAGE
    return Shape(
        is_message=is_message,
        is_withdrawal=claim.kind == WITHDRAW,
        is_silent=claim.notification.silent and claim.only_user is None,
        has_mentions=is_message and bool(claim.mentions),
        for_one_user=claim.only_user is not None,
        is_bounded=claim.until_user is not None,
    )


def values_of(claim: Claim, after: tuple[int, int], now: datetime) -> dict[str, Any]:
    """The values of all parameters that a shape may have."""
    return {
        "chat": claim.chat_id,
        "seq": claim.seq,
        "message": claim.message_id,
        "sender": claim.sender_id,
        "only_user": claim.only_user,
        "until_user": claim.until_user,
        "mentions": claim.mentions,
        "sent_at": claim.notification.created_at,
        "user": after[0],
        "device": after[1],
        "now": now,
    }


def devices(shape: Shape, parameter: Parameter = bindparam) -> Select[Any]:
    """The devices that a job is for, after a key and up to the end of its range."""
    user = parameter("user")
    query = (
        select(Member)
        .join(Device, Device.user_id == Member.user_id)
        .where(
            members(shape, parameter),
            Device.disabled_at.is_(None),
            # The first line bounds the index range; the second compares devices, too.
            Member.user_id >= user,
            or_(Member.user_id > user, Device.id > parameter("device")),
        )
    )
    if shape.is_bounded and not shape.for_one_user:
        query = query.where(Member.user_id <= parameter("until_user"))
    return query


def members(shape: Shape, parameter: Parameter = bindparam) -> ColumnElement[bool]:
    """Members with a device for which the job is at this moment.

    They were members when the message was written and still are. A read mark is for the
    reader, and all others are not for the sender.
    """
    chat = Member.chat_id == parameter("chat")
    then = Member.joined_seq < parameter("seq")
    if shape.for_one_user:
        return and_(chat, then, Member.user_id == parameter("only_user"), NOT_A_BROWSER)
    others = Member.user_id != parameter("sender")
    if shape.is_withdrawal:
        # A phone that was registered since may have shown it to another user.
        since = Device.registered_at > parameter("sent_at")
        shown = or_(NOT_A_BROWSER, _is_shown(shape, parameter))
        return and_(chat, or_(and_(then, others), since), shown)
    seen = NOT_A_BROWSER if shape.is_silent else true()
    return and_(chat, then, others, not_muted(shape, parameter), seen)


def _is_shown(shape: Shape, parameter: Parameter) -> ColumnElement[bool]:
    """Whether the member's browser is known to show the message.

    Its push was for this member and device, which have not changed since; the fan-out
    has come to it, and it accepted; and the message is unread.
    """
    if shape.is_silent:
        return false()
    job, shard = aliased(PushJob), aliased(PushJob)
    of_message = (job.message_id == parameter("message"), job.kind == MESSAGE)
    began = exists().where(
        *of_message,
        job.parent_id.is_(None),
        Device.registered_at <= job.started_at,
        # A mute that has ended leaves the time of its end.
        or_(Member.muted_until.is_(None), Member.muted_until <= job.started_at),
    )
    # The fan-out of the shard with this member. Later shards begin behind it.
    not_reached = exists().where(
        shard.message_id == parameter("message"),
        shard.kind == MESSAGE,
        or_(shard.until_user.is_(None), shard.until_user >= Member.user_id),
        or_(
            shard.cursor_user < Member.user_id,
            and_(shard.cursor_user == Member.user_id, shard.cursor_device < Device.id),
        ),
    )
    failed = exists().where(
        *of_message,
        PushFailure.job_id == job.id,
        PushFailure.device_id == Device.id,
    )
    return and_(
        Member.joined_seq < parameter("seq"),
        Member.read_seq < parameter("seq"),
        Member.user_id != parameter("sender"),
        began.correlate(Member, Device),
        ~not_reached.correlate(Member, Device),
        ~failed.correlate(Member, Device),
    )


def not_muted(shape: Shape, parameter: Parameter = bindparam) -> ColumnElement[bool]:
    """Members who have not muted the chat or are mentioned; only messages are muted."""
    if not shape.is_message:
        return true()
    unmuted = or_(Member.muted_until.is_(None), Member.muted_until <= parameter("now"))
    if not shape.has_mentions:
        return unmuted
    return or_(unmuted, Member.user_id.in_(parameter("mentions", expanding=True)))


_DELETED = (
    select(Message.deleted_at, Chat.deleted_at)
    .join(Chat, Chat.id == Message.chat_id)
    .where(Message.id == bindparam("message"))
)


def of_chat() -> Select[Any]:
    """The devices of all members of a chat."""
    return (
        select(Member)
        .join(Device, Device.user_id == Member.user_id)
        .where(Member.chat_id == bindparam("chat"), Device.disabled_at.is_(None))
    )


_FIND_DELETED = PreparedForIds(
    lambda ids: (
        select(Message.id)
        .join(Chat, Chat.id == Message.chat_id)
        .where(
            Message.id.in_(ids),
            or_(Message.deleted_at.is_not(None), Chat.deleted_at.is_not(None)),
        )
    )
)


def find_deleted(session: Session, claims: Sequence[Claim]) -> set[int]:
    """Those (job ids) for which `is_deleted` is true."""
    jobs = {each.message_id: each.job_id for each in claims if each.kind == MESSAGE}
    found = _FIND_DELETED.all(link_of(session), list(jobs))
    return {jobs[message_id] for (message_id,) in found}


def is_deleted(session: Session, claim: Claim) -> bool:
    """Whether the message or its chat has been deleted since the claim was loaded."""
    found = session.connection().execute(_DELETED, {"message": claim.message_id})
    message, chat = found.one()
    return claim.kind == MESSAGE and bool(message or chat)
