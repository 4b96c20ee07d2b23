"""One phone is one row, whichever of its tokens its app has registered.

Apple's hexadecimal tokens are stored in lower case. Of Google's tokens, those with the
same installation id (FID) are one phone: the hash in the row is that of the FID, and
the token is the one that was registered last.

Older versions knew neither, so a phone may have two rows. The one that was registered
last survives with its id, its user and its state, because it says who uses the phone
now; the other is deleted. Registrations do this for their own token, and `join_some`
for all others, a few rows at a time.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from datastore.hashes import sha256
from models.accounts import Device
from models.apns_tokens import normalise, spellings
from models.fcm_tokens import FCM, installation

# Rows that one look reads.
ROWS_PER_LOOK = 2000


def identity(platform: str, token: str) -> str:
    """What all tokens of a phone have in common; its hash is stored."""
    if platform == FCM:
        return installation(token) or token
    return normalise(platform, token)


def hash_of(platform: str, token: str) -> str:
    """The hash that is stored."""
    return sha256(identity(platform, token))


def hashes(platform: str, token: str) -> list[str]:
    """The hashes under which the device of a token may be stored."""
    forms = {identity(platform, token), *spellings(platform, token)}
    return [sha256(form) for form in forms]


class Misspelt(NamedTuple):
    """Devices (ids) whose row is to be changed, and where to look next."""

    ids: list[int]
    # The last device that was looked at; None if there are no more.
    last: int | None


def look(session: Session, after: int, limit: int = ROWS_PER_LOOK) -> Misspelt:
    """Look at the devices behind `after`, by id: the number of rows is bounded."""
    # Databases do not agree on how letters compare, so the tokens are compared here.
    rows = session.execute(
        select(Device.id, Device.platform, Device.token, Device.token_hash)
        .where(Device.id > after)
        .order_by(Device.id)
        .limit(limit)
    ).all()
    ids = [row.id for row in rows if _is_misspelt(*row[1:])]
    return Misspelt(ids, rows[-1].id if len(rows) == limit else None)


def _is_misspelt(platform: str, token: str, token_hash: str) -> bool:
    if platform == FCM:
        fid = installation(token)
        return fid is not None and token_hash != sha256(fid)
    return normalise(platform, token) != token


def join_some(session: Session, ids: Sequence[int]) -> int:
    """Give these devices their token's form and hash; returns how many were deleted.

    Meant for few devices. What another process has done already is left alone.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for platform, token in session.execute(
        select(Device.platform, Device.token).where(Device.id.in_(ids))
    ):
        wanted[platform] |= {sha256(token), *hashes(platform, token)}
    phones: dict[tuple[str, str], list[Device]] = defaultdict(list)
    for platform in sorted(wanted):
        for device in _locked(session, platform, wanted[platform]):
            phones[platform, identity(platform, device.token)].append(device)
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
    survivor.token_hash = hash_of(survivor.platform, survivor.token)
    survivor.token = normalise(survivor.platform, survivor.token)
    # Writes nothing if nothing has changed.
    session.flush()
    return survivor


def _locked(
    session: Session, platform: str, token_hashes: Collection[str]
) -> Sequence[Device]:
    """In the order of their ids, so that two processes do not wait for each other."""
    return session.scalars(
        select(Device)
        .where(Device.platform == platform, Device.token_hash.in_(token_hashes))
        .order_by(Device.id)
        .with_for_update()
    ).all()
