"""The devices a job is for, read in batches by keyset.

A batch costs O(batch) whatever the size of the chat: members come in the order of
their primary key, each one's devices in the order of theirs; nothing is sorted.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.orm import Session, aliased

from datastore.outbox import Claim
from models.accounts import Device
from models.groupchat import Chat, Member, Message
from models.pushes import MESSAGE, PushFailure, Target


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
    user, device = after
    query = (
        _audience(claim, now)
        # The first line bounds the index; the second is exact about the user's devices.
        .where(Member.user_id >= user)
        .where(or_(Member.user_id > user, Device.id > device))
        .order_by(Member.user_id, Device.id)
        .limit(limit)
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
    return [Target._make((*row, 0)) for row in session.execute(query)]


def count_targets(
    session: Session, claim: Claim, *, after: tuple[int, int], now: datetime
) -> int:
    """How many devices come after (user, device)."""
    user, device = after
    query = (
        _audience(claim, now)
        .where(Member.user_id >= user)
        .where(or_(Member.user_id > user, Device.id > device))
        .with_only_columns(func.count())
    )
    return session.scalars(query).one()


def _audience(claim: Claim, now: datetime) -> Select[Any]:
    """Devices of those who were members when it was written, and still are."""
    query = (
        select(Member)
        .join(Device, Device.user_id == Member.user_id)
        .where(
            Member.chat_id == claim.chat_id,
            Member.joined_seq < claim.seq,
            _listens(claim, now),
            Device.disabled_at.is_(None),
        )
    )
    if claim.only_user is not None:
        return query.where(Member.user_id == claim.only_user)
    query = query.where(Member.user_id != claim.sender_id)
    if claim.until_user is not None:
        query = query.where(Member.user_id <= claim.until_user)
    return query


def _listens(claim: Claim, now: datetime) -> ColumnElement[bool]:
    """Not muted, or mentioned; what is taken away is taken away from everybody."""
    if claim.kind != MESSAGE:
        return true()
    awake = or_(Member.muted_until.is_(None), Member.muted_until <= now)
    if not claim.mentions:
        return awake
    return or_(awake, Member.user_id.in_(claim.mentions))


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
    rows = session.execute(
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
                Member.chat_id == claim.chat_id,
                Member.user_id == Device.user_id,
                _listens(claim, now),
            ),
            isouter=True,
        )
        .where(PushFailure.job_id == claim.job_id, PushFailure.next_attempt_at <= now)
        .order_by(PushFailure.next_attempt_at)
        .limit(limit)
    ).all()
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


def waiting(session: Session, job_id: int) -> tuple[int, datetime | None]:
    """How many devices of a job wait for another try, and when the first is due."""
    row = session.execute(
        select(func.count(), func.min(PushFailure.next_attempt_at)).where(
            PushFailure.job_id == job_id, PushFailure.next_attempt_at.is_not(None)
        )
    ).one()
    return row[0], row[1]


def _is_withdrawn(session: Session, claim: Claim) -> bool:
    message, chat = session.execute(
        select(Message.deleted_at, Chat.deleted_at)
        .join(Chat, Chat.id == Message.chat_id)
        .where(Message.id == claim.message_id)
    ).one()
    return claim.kind == MESSAGE and bool(message or chat)
