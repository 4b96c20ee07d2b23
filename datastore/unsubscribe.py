"""Ends the mails to a recipient who has asked for it."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import addresses
from models.accounts import Device

EMAIL = "email"
# Of a device that its recipient has turned off.
UNSUBSCRIBED = "unsubscribed"


def has_mails(session: Session, device_id: int) -> bool | None:
    """Whether mails go to the device; None if there is no such mail device."""
    device = session.get(Device, device_id)
    if device is None or device.platform != EMAIL:
        return None
    return device.disabled_at is None


def unsubscribe(session: Session, device_id: int, now: datetime) -> bool:
    """Disable a mail device; False if there is no such device.

    With it go other devices of the user that are the same mailbox: older versions took
    an address in several spellings, whose messages are collected in one mail.
    """
    device = session.get(Device, device_id)
    if device is None or device.platform != EMAIL:
        return False
    own = session.scalars(
        select(Device)
        .where(Device.user_id == device.user_id, Device.platform == EMAIL)
        .order_by(Device.id)
        .with_for_update()
    )
    mailbox = _mailbox(device.token)
    for each in own:
        if _mailbox(each.token) == mailbox:
            each.disabled_at = each.disabled_at or now
            each.reason = UNSUBSCRIBED
    session.flush()
    return True


def _mailbox(token: str) -> str:
    try:
        return addresses.parse(token)
    except ValueError:
        return token
