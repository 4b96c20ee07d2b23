"""Reads the devices of a job that wait for a retry."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Integer, Select, and_, bindparam, func, select
from sqlalchemy.orm import Session

from datastore import unread
from datastore.outbox import Claim, audience
from models.accounts import Device
from models.chats import Member
from models.pushes import BROWSER, WITHDRAW, PushFailure, Target


def find_due(
    session: Session, claim: Claim, *, limit: int, now: datetime
) -> tuple[list[Target], list[int]] | None:
    """Devices whose retry is due, and those (ids) whose retry has become pointless.

    A retry is pointless if the device was removed or disabled meanwhile, or if the job
    is not for the user who has it now. A withdrawal is for any user of a phone, because
    it still shows the message. None if the message has been deleted.
    """
    if audience.is_deleted(session, claim):
        return None
    values = {
        **audience.values_of(claim, (0, 0), now),
        "job": claim.job_id,
        "limit": limit,
    }
    rows = session.execute(_retries(audience.shape_of(claim)), values).all()
    targets, pointless = [], []
    for device_id, attempts, outcome, device, member_id, badge in rows:
        is_phone = device is not None and device.platform != BROWSER
        is_for_user = member_id is not None or (claim.kind == WITHDRAW and is_phone)
        if device is None or device.disabled_at or not is_for_user:
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
                is_marked=device.reason is not None,
                locale=device.locale,
                outcome=outcome,
            )
        )
    return targets, pointless


@cache
def _retries(shape: audience.Shape) -> Select[Any]:
    return (
        select(
            PushFailure.device_id,
            PushFailure.attempts,
            PushFailure.outcome,
            Device,
            Member.user_id,
            unread.badge(Device),
        )
        .join(Device, Device.id == PushFailure.device_id, isouter=True)
        .join(
            Member,
            and_(Member.user_id == Device.user_id, audience.members(shape)),
            isouter=True,
        )
        .where(
            PushFailure.job_id == bindparam("job"),
            PushFailure.next_attempt_at <= bindparam("now"),
        )
        .order_by(PushFailure.next_attempt_at)
        .limit(bindparam("limit", type_=Integer))
    )


def count_waiting(session: Session, job_id: int) -> tuple[int, datetime | None]:
    """How many of a job's devices wait for a retry, and when the first is due."""
    row = session.execute(
        select(func.count(), func.min(PushFailure.next_attempt_at)).where(
            PushFailure.job_id == job_id, PushFailure.next_attempt_at.is_not(None)
        )
    ).one()
    return row[0], row[1]
