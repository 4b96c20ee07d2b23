"""The devices a job is for, read in batches by keyset.

A batch costs O(batch) whatever the size of the chat: members come in the order of
their primary key, each one's devices in the order of theirs; nothing is sorted.
"""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session, aliased

from datastore.outbox import Claim
from models.accounts import Device
from models.groupchat import Chat, Member, Message
from models.pushes import MESSAGE, PushFailure, Target


class Shape(NamedTuple):
    """What a claim's statements depend on, apart from their values.

    Building one costs ten times what running it does, so each is built once.
    """

    # Whether the muted are left alone, and some are told all the same.
    heeds_mute: bool
    has_mentions: bool
    for_one_user: bool
    is_bounded: bool


def next_targets(
    session: Session,
    claim: Claim,
    *,
    after: tuple[int, int],
    limit: int,
    now: datetime,
) -> list[Target] | None:
    """Up to `limit` devices after (user, device); fewer mean that it is the end.

    None when the message, or its chat, has been deleted meanwhile.
    """
    if _is_withdrawn(session, claim):
        return None
    return read_targets(session, claim, after=after, limit=limit, now=now)


def read_targets(
    session: Session,
    claim: Claim,
    *,
    after: tuple[int, int],
    limit: int,
    now: datetime,
) -> list[Target]:
    """The same for a claim that has just been loaded, and so is known to hold."""
    values = {**_values(claim, after, now), "limit": limit}
    rows = session.connection().execute(_batch(_shape(claim)), values).all()
    return [Target(*row) for row in rows]


def count_targets(
    session: Session, claim: Claim, *, after: tuple[int, int], now: datetime
) -> int:
    """How many devices come after (user, device)."""
    query = _audience(_shape(claim)).with_only_columns(func.count())
    values = _values(claim, after, now)
    return int(session.connection().execute(query, values).scalar_one())


def _shape(claim: Claim) -> Shape:
    heeds_mute = claim.kind == MESSAGE
    return Shape(
        heeds_mute=heeds_mute,
        has_mentions=heeds_mute and bool(claim.mentions),
        for_one_user=claim.only_user is not None,
        is_bounded=claim.until_user is not None,
    )


def _values(claim: Claim, after: tuple[int, int], now: datetime) -> dict[str, Any]:
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


@cache
def _batch(shape: Shape) -> Select[Any]:
    return (
        _audience(shape)
        .order_by(Member.user_id, Device.id)
        .limit(bindparam("limit", type_=Integer))
        .with_only_columns(
            Member.user_id,
            Device.id,
            Device.platform,
            Device.token,
            Device.app,
            Device.environment,
            Device.registered_at,
            _unread(),
        )
    )


@cache
def _audience(shape: Shape) -> Select[Any]:
    """Devices of those who were members when it was written, and still are."""
    query = (
        select(Member)
        .join(Device, Device.user_id == Member.user_id)
        .where(
            Member.chat_id == bindparam("chat"),
            Member.joined_seq < bindparam("seq"),
            _listens(shape),
            Device.disabled_at.is_(None),
            # The first line bounds the index; the second is exact about the devices.
            Member.user_id >= bindparam("user"),
            or_(Member.user_id > bindparam("user"), Device.id > bindparam("device")),
        )
    )
    if shape.for_one_user:
        return query.where(Member.user_id == bindparam("only_user"))
    query = query.where(Member.user_id != bindparam("sender"))
    if shape.is_bounded:
        query = query.where(Member.user_id <= bindparam("until_user"))
    return query


def _listens(shape: Shape) -> ColumnElement[bool]:
    """Not muted, or mentioned; what is taken away is taken away from everybody."""
    if not shape.heeds_mute:
        return true()
    awake = or_(Member.muted_until.is_(None), Member.muted_until <= bindparam("now"))
    if not shape.has_mentions:
        return awake
    return or_(awake, Member.user_id.in_(bindparam("mentions", expanding=True)))


def _unread() -> Any:
    """The badge: what the user has not read, over all conversations."""
    seat, chat = aliased(Member), aliased(Chat)
    return (
        select(func.coalesce(func.sum(chat.last_seq - seat.read_seq), 0))
        .select_from(seat)
        .join(chat, chat.id == seat.chat_id)
        .where(seat.user_id == Member.user_id, chat.deleted_at.is_(None))
        .correlate(Member)
        .scalar_subquery()
    )


def due_retries(
    session: Session, claim: Claim, *, limit: int, now: datetime
) -> tuple[list[Target], list[int]] | None:
    """Devices to be tried again now, and those (ids) there is no reason to try.

    The second are devices that were removed or disabled meanwhile, or whose user has
    left or muted the conversation. None when the message has been deleted.
    """
    if _is_withdrawn(session, claim):
        return None
    values = {
        **_values(claim, (0, 0), now),
        "job": claim.job_id,
        "limit": limit,
    }
    rows = session.execute(_retries(_shape(claim)), values).all()
    targets, pointless = [], []
    for device_id, attempts, device, member_id, badge in rows:
        if device is None or device.disabled_at or member_id is None:
            pointless.append(device_id)
            continue
        targets.append(
            Target(
                user_id=device.user_id,
                device_id=device_id,
                platform=device.platform,
                token=device.token,
                app=device.app,
                environment=device.environment,
                registered_at=device.registered_at,
                badge=badge,
                attempts=attempts,
            )
        )
    return targets, pointless


@cache
def _retries(shape: Shape) -> Select[Any]:
    return (
        select(
            PushFailure.device_id,
            PushFailure.attempts,
            Device,
            Member.user_id,
            _unread(),
        )
        .join(Device, Device.id == PushFailure.device_id, isouter=True)
        .join(
            Member,
            and_(
                Member.chat_id == bindparam("chat"),
                Member.user_id == Device.user_id,
                _listens(shape),
            ),
            isouter=True,
        )
        .where(
            PushFailure.job_id == bindparam("job"),
            PushFailure.next_attempt_at <= bindparam("now"),
        )
        .order_by(PushFailure.next_attempt_at)
        .limit(bindparam("limit", type_=Integer))
    )


def waiting(session: Session, job_id: int) -> tuple[int, datetime | None]:
    """How many devices of a job wait for another try, and when the first is due."""
    row = session.execute(
        select(func.count(), func.min(PushFailure.next_attempt_at)).where(
            PushFailure.job_id == job_id, PushFailure.next_attempt_at.is_not(None)
        )
    ).one()
    return row[0], row[1]


_DELETED = (
    select(Message.deleted_at, Chat.deleted_at)
    .join(Chat, Chat.id == Message.chat_id)
    .where(Message.id == bindparam("message"))
)


def _is_withdrawn(session: Session, claim: Claim) -> bool:
    found = session.connection().execute(_DELETED, {"message": claim.message_id})
    message, chat = found.one()
    return claim.kind == MESSAGE and bool(message or chat)
