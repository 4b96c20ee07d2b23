"""Reads the devices a job is for, in batches by keyset.

A batch costs O(batch) whatever the size of the chat: members are read in the order of
their primary key and each member's devices in the order of theirs, without a sort.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Integer,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from datastore.outbox import Claim, audience
from datastore.outbox.audience import Parameter, Shape
from models.accounts import Device
from models.chats import Member
from models.pushes import Target

# Claims whose devices are read by one statement, because the round trip is most of the
# cost of a statement for a small chat.
CLAIMS_PER_READ = 8
_key = attrgetter("user_id", "device_id")


def next_targets(
    session: Session,
    claim: Claim,
    *,
    after: tuple[int, int],
    limit: int,
    now: datetime,
) -> list[Target] | None:
    """Up to `limit` devices after (user, device); fewer if they are the last ones.

    None if the message or its chat has been deleted meanwhile.
    """
    if audience.is_deleted(session, claim):
        return None
    return _read_one(session, claim, after, limit, now)


def first_targets(
    session: Session, claims: Sequence[Claim], *, limit: int, now: datetime
) -> dict[int, list[Target]]:
    """Up to `limit` devices after the cursor of each claim just loaded, by job id."""
    found: dict[int, list[Target]] = {}
    by_shape: dict[Shape, list[Claim]] = {}
    for claim in claims:
        by_shape.setdefault(audience.shape_of(claim), []).append(claim)
    for shape, group in by_shape.items():
        whole = len(group) - len(group) % CLAIMS_PER_READ
        for start in range(0, whole, CLAIMS_PER_READ):
            claims_of_read = group[start : start + CLAIMS_PER_READ]
            found |= _read_several(session, shape, claims_of_read, limit, now)
        for claim in group[whole:]:
            found[claim.job_id] = _read_one(session, claim, claim.cursor, limit, now)
    return found


def count_targets(
    session: Session, claim: Claim, *, after: tuple[int, int], now: datetime
) -> int:
    """The number of devices after (user, device)."""
    query = _count(audience.shape_of(claim))
    values = audience.values_of(claim, after, now)
    return int(session.connection().execute(query, values).scalar_one())


def _read_one(
    session: Session, claim: Claim, after: tuple[int, int], limit: int, now: datetime
) -> list[Target]:
    values = {**audience.values_of(claim, after, now), "limit": limit}
    query = _batch(audience.shape_of(claim))
    rows = session.connection().execute(query, values).all()
    return [Target(*row) for row in rows]


def _read_several(
    session: Session, shape: Shape, claims: list[Claim], limit: int, now: datetime
) -> dict[int, list[Target]]:
    values: dict[str, Any] = {}
    for place, claim in enumerate(claims):
        own = {**audience.values_of(claim, claim.cursor, now), "limit": limit}
        values |= {_name(name, place): value for name, value in own.items()}
    rows = session.connection().execute(_batches(shape), values).all()
    found: list[list[Target]] = [[] for _ in claims]
    for place, *target in rows:
        found[place].append(Target(*target))
    for targets in found:
        # Each batch was read in order, but SQL promises no order for their union.
        targets.sort(key=_key)
    return {claim.job_id: batch for claim, batch in zip(claims, found, strict=True)}


@cache
def _count(shape: Shape) -> Select[Any]:
    return audience.devices(shape).with_only_columns(func.count())


@cache
def _batch(shape: Shape) -> Select[Any]:
    return _batch_with(shape, bindparam)


@cache
def _batches(shape: Shape) -> CompoundSelect[Any]:
    """A batch for each of several claims; a row begins with its claim's place."""
    parts = []
    for place in range(CLAIMS_PER_READ):

        def parameter(name: str, *, of: int = place, **kind: Any) -> BindParameter[Any]:
            return bindparam(_name(name, of), **kind)

        batch = _batch_with(shape, parameter).subquery()
        parts.append(select(literal_column(str(place)).label("place"), batch))
    return union_all(*parts)


def _name(name: str, place: int) -> str:
    return f"{name}_{place}"


def _batch_with(shape: Shape, parameter: Parameter) -> Select[Any]:
    return (
        audience.devices(shape, parameter)
        .order_by(Member.user_id, Device.id)
        .limit(parameter("limit", type_=Integer))
        .with_only_columns(
            Member.user_id,
            Device.id,
            Device.platform,
            Device.token,
            Device.app,
            Device.environment,
            Device.registered_at,
            audience.unread(),
        )
    )
