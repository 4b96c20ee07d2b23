"""What an operator sees of devices, and the switch of a device."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.accounts import Device
from models.errors import NotFound
from models.pushes import PushFailure

MOST_FAILURES = 20
BY_OPERATOR = "disabled by an operator"


class DeviceFailure(NamedTuple):
    """A push that a device has not accepted."""

    job_id: int
    device_id: int
    outcome: str
    reason: str


def find_device(session: Session, device_id: int) -> Device:
    """Raises NotFound when there is no such device."""
    device = session.get(Device, device_id)
    if device is None:
        raise NotFound("There is no such device.")
    return device


def switch_off(session: Session, device_id: int, now: datetime) -> Device:
    """Disable a device until its app registers it again, or an operator enables it."""
    device = find_device(session, device_id)
    if device.disabled_at is None:
        device.disabled_at, device.reason = now, BY_OPERATOR
    return device


def switch_on(session: Session, device_id: int) -> Device:
    """Enable a device; its provider may disable it again at the next push."""
    device = find_device(session, device_id)
    device.disabled_at, device.reason = None, None
    return device


def failures(
    session: Session, device_ids: Sequence[int], first_job: int
) -> list[DeviceFailure]:
    """The newest pushes that these devices have not accepted, from a job on."""
    rows = session.execute(
        select(
            PushFailure.job_id,
            PushFailure.device_id,
            PushFailure.outcome,
            PushFailure.reason,
        )
        .where(PushFailure.job_id >= first_job, PushFailure.device_id.in_(device_ids))
        .order_by(PushFailure.job_id.desc(), PushFailure.device_id)
        .limit(MOST_FAILURES)
    )
    return [DeviceFailure(*row) for row in rows]
