"""Hexadecimal tokens of Apple's devices: one phone is one row, in lower case.

Older versions stored them as the app wrote them, so a phone may have two rows. The one
that was registered last survives with its id, its user and its state, because it says
who uses the phone now; the other is deleted. Registrations do this for their own
token, and `join_some` for all others, a few rows at a time.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from datastore.hashes import sha256
from models.accounts import Device
from models.apns_tokens import APNS, normalise, spellings

# Rows that one look reads.
ROWS_PER_LOOK = 2000


def hashes(platform: str, token: str) -> list[str]:
    """The hashes under which the device of a token may be stored."""
    return [sha256(form) for form in spellings(platform, token)]


class Misspelt(NamedTuple):
    """Devices (ids) whose token is to be changed, and where to look next."""

    ids: list[int]
    # The last device that was looked at; None if there are no more.
    last: int | None


def look(session: Session, after: int, limit: int = ROWS_PER_LOOK) -> Misspelt:
    """Look at the devices behind `after`, by id: the number of rows is bounded."""
    # Databases do not agree on how letters compare, so the tokens are compared here.
    rows = session.execute(
        select(Device.id, Device.platform, Device.token)
        .where(Device.id > after)
        .order_by(Device.id)
        .limit(limit)
    ).all()
    ids = [row.id for row in rows if normalise(row.platform, row.token) != row.token]
    return Misspelt(ids, rows[-1].id if len(rows) == limit else None)


def join_some(session: Session, ids: Sequence[int]) -> int:
    """Give these devices their token in lower case; returns how many were deleted.

    Meant for few devices. What another process has done already is left alone.
    """
    tokens = session.scalars(select(Device.token).where(Device.id.in_(ids))).all()
    forms = {*tokens, *(each for token in tokens for each in spellings(APNS, token))}
    phones: dict[str, list[Device]] = defaultdict(list)
    for device in _locked(session, [sha256(each) for each in forms]):
        phones[normalise(APNS, device.token)].append(device)
    for devices in phones.values():
        join(session, devices)
    return sum(len(devices) - 1 for devices in phones.values())


def find(session: Session, platform: str, token: str) -> Device | None:
    """The device of a token, locked; if there are several, they are joined."""
    query = select(Device).where(
        Device.platform == platform, Device.token_hash.in_(hashes(platform, token))
    )
    found = session.scalars(query.order_by(Device.id).with_for_update()).all()
    return join(session, found) if found else None


def newest(devices: Iterable[Device]) -> Device:
    """The device that survives: the one that was registered last."""
    return max(devices, key=lambda device: (device.registered_at, device.id))


def join(session: Session, devices: Sequence[Device]) -> Device:
    """The device that survives of those of a phone, with the token in its form."""
    survivor = newest(devices)
    others = [device.id for device in devices if device is not survivor]
    if others:
        # Before the update, because the other may have the same token and hash.
        session.execute(delete(Device).where(Device.id.in_(others)))
    form = normalise(survivor.platform, survivor.token)
    if form != survivor.token:
        survivor.token, survivor.token_hash = form, sha256(form)
        session.flush()
    return survivor


def _locked(session: Session, token_hashes: Sequence[str]) -> Sequence[Device]:
    """In the order of their ids, so that two processes do not wait for each other."""
    return session.scalars(
        select(Device)
        .where(Device.platform == APNS, Device.token_hash.in_(token_hashes))
        .order_by(Device.id)
        .with_for_update()
    ).all()
