"""The devices of a job that wait for another try."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Integer, Select, and_, bindparam, func, select
from sqlalchemy.orm import Session

from datastore.outbox import Claim, audience
from models.accounts import Device
from models.chats import Member
from models.pushes import PushFailure, Target


def due_retries(
    session: Session, claim: Claim, *, limit: int, now: datetime
) -> tuple[list[Target], list[int]] | None:
    """Devices to be tried again now, and those (ids) there is no reason to try.

    The second are devices that were removed or disabled meanwhile, or whose user has
    left or muted the conversation. None when the message has been deleted.
    """
    if audience.is_withdrawn(session, claim):
        return None
    values = {
        **audience.values_of(claim, (0, 0), now),
        "job": claim.job_id,
        "limit": limit,
    }
    rows = session.execute(_retries(audience.shape_of(claim)), values).all()
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
def _retries(shape: audience.Shape) -> Select[Any]:
    return (
        select(
            PushFailure.device_id,
            PushFailure.attempts,
            Device,
            Member.user_id,
            audience.unread(),
        )
        .join(Device, Device.id == PushFailure.device_id, isouter=True)
        .join(
            Member,
            and_(
                Member.chat_id == bindparam("chat"),
                Member.user_id == Device.user_id,
                audience.listens(shape),
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
