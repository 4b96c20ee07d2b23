"""Reads the devices a job is for, in batches by keyset.

A batch costs O(batch) whatever the size of the chat: members are read in the order of
their primary key and each member's devices in the order of theirs, without a sort.

A message makes a badge out of date that has left its chat out (`datastore/unread.py`).
So each batch also tells the first member who counts as caught up, with or without a
device; such members are reopened first, and then the batch is read once more. Most
batches have none, and then nothing is written.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session

from datastore import Datastore, unread
from datastore.outbox import Claim, audience
from datastore.outbox.audience import Parameter, Shape
from datastore.prepared import Prepared, link_of
from models.accounts import Device
from models.base import parse_utc
from models.chats import Member
from models.pushes import BROWSER, MESSAGE, Target

# Claims whose devices are read by one statement, because the round trip is most of the
# cost of a statement for a small chat.
CLAIMS_PER_READ = 8
_key = attrgetter("user_id", "device_id")
_row_key = itemgetter(0, 1)


class Batch(NamedTuple):
    """Devices of a job in order, and the first member (id) to be reopened, if any."""

    targets: list[Target]
    caught_up: int | None


def next_targets(
    store: Datastore,
    claim: Claim,
    *,
    after: tuple[int, int],
    limit: int,
    now: datetime,
) -> list[Target] | None:
    """Up to `limit` devices after (user, device); fewer if they are the last ones.

    None if the message or its chat has been deleted meanwhile.
    """
    while True:
        with store.read() as session:
            if audience.is_deleted(session, claim):
                return None
            batch = _read_large(session, claim, after, limit, now)
        until = _last_member(claim, batch, limit)
        if not _must_reopen(batch, until):
            return batch.targets
        _reopen(store, claim, batch.caught_up, until)


def reopen_rest(store: Datastore, claim: Claim, *, after: tuple[int, int]) -> None:
    """Keep the badges right of members after (user, device) who get no push."""
    if claim.kind != MESSAGE:
        return
    with store.read() as session:
        first = unread.find_caught_up(session, claim.chat_id, claim.seq, after[0])
    _reopen(store, claim, first, claim.until_user)


def _last_member(claim: Claim, batch: Batch, limit: int) -> int | None:
    """The member with whom the batch ends; None if it goes to the end of the chat."""
    is_full = len(batch.targets) == limit
    return batch.targets[-1].user_id if is_full else claim.until_user


def _must_reopen(batch: Batch, until: int | None) -> bool:
    return batch.caught_up is not None and (until is None or batch.caught_up <= until)


def _reopen(
    store: Datastore, claim: Claim, first: int | None, until: int | None
) -> None:
    while first is not None:
        with store.write() as session:
            first = unread.reopen(
                session, claim.chat_id, claim.seq, first=first, until=until
            )


def first_targets(
    session: Session, claims: Sequence[Claim], *, limit: int, now: datetime
) -> dict[int, list[Target]]:
    """Up to `limit` devices after the cursor of each claim just loaded, by job id.

    Claims with members to be reopened are left out: `next_targets` reads theirs.
    """
    found: dict[int, Batch] = {}
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
    return {
        claim.job_id: batch.targets
        for claim in claims
        if (batch := found[claim.job_id])
        and not _must_reopen(batch, _last_member(claim, batch, limit))
    }


class Listener(NamedTuple):
    """A device of a chat's member, and whether a message is for it."""

    target: Target
    joined_seq: int
    muted_until: datetime | None


def is_plain(claim: Claim) -> bool:
    """Whether the job is for all devices of a chat, from the first one on."""
    return (
        claim.kind == MESSAGE
        and claim.until_user is None
        and claim.parent_id is None
        and claim.cursor == (0, 0)
    )


def listeners(
    session: Session, claim: Claim, seq: int, *, limit: int
) -> list[Listener] | None:
    """All devices of the claim's chat, for its messages up to a number.

    None if there are `limit` or more, if the job is not for all of them, or if a member
    has to be reopened for one of the messages.
    """
    if not is_plain(claim):
        return None
    link = link_of(session)
    values = {"chat": claim.chat_id, "seq": seq, "user": 0, "limit": limit}
    rows = _LISTENERS.all(link, values)
    if not rows or len(rows) == limit or rows[0][-1] is not None:
        return None
    return [Listener(_target(row[:-3]), row[-3], row[-2]) for row in rows]


def choose(listeners: Sequence[Listener], claim: Claim, now: datetime) -> list[Target]:
    """The devices that a message is for, like `audience.devices`."""
    is_silent = claim.notification.silent
    return [
        target
        for target, joined_seq, muted_until in listeners
        if joined_seq < claim.seq
        and target.user_id != claim.sender_id
        and (
            muted_until is None
            or muted_until <= now
            or target.user_id in claim.mentions
        )
        and not (is_silent and target.platform == BROWSER)
    ]


def count_targets(
    session: Session, claim: Claim, *, after: tuple[int, int], now: datetime
) -> int:
    """The number of devices after (user, device)."""
    query = _count(audience.shape_of(claim))
    values = audience.values_of(claim, after, now)
    return int(session.connection().execute(query, values).scalar_one())


def _read_one(
    session: Session, claim: Claim, after: tuple[int, int], limit: int, now: datetime
) -> Batch:
    values = {**audience.values_of(claim, after, now), "limit": limit}
    rows = _rows(session, _batch, audience.shape_of(claim), values)
    return _batch_of(session, claim, after, rows)


def _read_large(
    session: Session, claim: Claim, after: tuple[int, int], limit: int, now: datetime
) -> Batch:
    """A batch that the database returns as one row, if it can.

    For each row, SQLite's driver releases the interpreter's lock (GIL) and waits for it
    again, and every value takes two calls. So with a thousand devices the rows would
    cost more than the query.
    """
    pack = _PACKS.get(session.get_bind().dialect.name)
    if pack is None:
        return _read_one(session, claim, after, limit, now)
    values = {**audience.values_of(claim, after, now), "limit": limit}
    [(caught_up, *columns)] = _rows(session, pack, audience.shape_of(claim), values)
    # The array of no rows is empty on SQLite, and NULL on PostgreSQL.
    targets = [] if columns[0] is None else _unpack(columns)
    return Batch(targets, caught_up) if targets else _empty_batch(session, claim, after)


def _unpack(packed: Sequence[str]) -> list[Target]:
    """The devices of JSON arrays, one for each column of the query."""
    columns = dict(zip(_TARGET_NAMES, map(json.loads, packed), strict=True))
    columns["registered_at"] = map(parse_utc, columns["registered_at"])
    locales = columns.pop("locale")
    # SQL promises no order within the arrays.
    others = map(repeat, _OF_RETRIES)
    rows = sorted(zip(*columns.values(), *others, locales, strict=False), key=_row_key)
    return list(map(_new_target, rows))


def _target(row: Sequence[Any]) -> Target:
    """The device of a row of `_TARGET_COLUMNS`."""
    return _new_target((*row[:-1], *_OF_RETRIES, row[-1]))


# Not by Target's constructor, which takes twice as long.
_new_target: Callable[[tuple[Any, ...]], Target] = partial(tuple.__new__, Target)


def _read_several(
    session: Session, shape: Shape, claims: list[Claim], limit: int, now: datetime
) -> dict[int, Batch]:
    values: dict[str, Any] = {}
    for place, claim in enumerate(claims):
        own = {**audience.values_of(claim, claim.cursor, now), "limit": limit}
        values |= {_name(name, place): value for name, value in own.items()}
    rows = _rows(session, _batches, shape, values)
    of_claim: list[list[Any]] = [[] for _ in claims]
    for place, *row in rows:
        of_claim[place].append(row)
    found: dict[int, Batch] = {}
    for claim, own_rows in zip(claims, of_claim, strict=True):
        batch = _batch_of(session, claim, claim.cursor, own_rows)
        # Each batch was read in order, but SQL promises no order for their union.
        batch.targets.sort(key=_key)
        found[claim.job_id] = batch
    return found


def _batch_of(
    session: Session, claim: Claim, after: tuple[int, int], rows: Sequence[Any]
) -> Batch:
    """Rows are devices; each ends with the first member who is caught up."""
    if rows:
        return Batch([_target(row[:-1]) for row in rows], rows[0][-1])
    return _empty_batch(session, claim, after)


def _empty_batch(session: Session, claim: Claim, after: tuple[int, int]) -> Batch:
    if claim.kind != MESSAGE:
        return Batch([], None)
    # Members without devices, and those who have muted the chat, have badges, too.
    caught_up = unread.find_caught_up(session, claim.chat_id, claim.seq, after[0])
    return Batch([], caught_up)


def _rows(
    session: Session,
    query_of: Callable[[Shape], Any],
    shape: Shape,
    values: dict[str, Any],
) -> Sequence[Any]:
    if shape.has_mentions:
        # The number of parameters of its IN differs from run to run.
        return session.connection().execute(query_of(shape), values).all()
    return _prepared(query_of, shape).all(link_of(session), values)


@cache
def _prepared(query_of: Callable[[Shape], Any], shape: Shape) -> Prepared:
    return Prepared(query_of(shape), picks=True)


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


# As the fields of a Target.
_TARGET_COLUMNS: tuple[Any, ...] = (
    Member.user_id,
    Device.id.label("device_id"),
    Device.platform,
    Device.token,
    Device.app,
    Device.environment,
    Device.registered_at,
    unread.badge().label("badge"),
    Device.locale,
)
_TARGET_NAMES = [column.key for column in _TARGET_COLUMNS]
# The fields between the badge and the locale, which only retries have.
_OF_RETRIES = (0, False, None)


def _name(name: str, place: int) -> str:
    return f"{name}_{place}"


def _batch_with(shape: Shape, parameter: Parameter) -> Select[Any]:
    return (
        audience.devices(shape, parameter)
        .order_by(Member.user_id, Device.id)
        .limit(parameter("limit", type_=Integer))
        .with_only_columns(*_TARGET_COLUMNS, _first_caught_up(shape, parameter))
    )


@cache
def _packed_for_sqlite(shape: Shape) -> Select[Any]:
    return _packed(shape, func.json_group_array)


@cache
def _packed_for_postgresql(shape: Shape) -> Select[Any]:
    return _packed(shape, lambda column: cast(func.json_agg(column), Text))


# MariaDB cuts such arrays off at `group_concat_max_len`.
_PACKS = {"sqlite": _packed_for_sqlite, "postgresql": _packed_for_postgresql}


def _packed(shape: Shape, array: Callable[[Any], ColumnElement[Any]]) -> Select[Any]:
    """A batch as one row: the first member who is caught up, and arrays of columns."""
    batch = _batch(shape).subquery()
    columns = [type_coerce(array(batch.c[name]), Text) for name in _TARGET_NAMES]
    # All rows have the same value.
    caught_up: Any = func.max(batch.c.caught_up, type_=Integer)
    return select(caught_up, *columns)


_LISTENERS = Prepared(
    audience.of_chat()
    .order_by(Member.user_id, Device.id)
    .limit(bindparam("limit", type_=Integer))
    .with_only_columns(
        *_TARGET_COLUMNS,
        Member.joined_seq,
        Member.muted_until,
        unread.first_caught_up().scalar_subquery().label("caught_up"),
    )
)


def _first_caught_up(shape: Shape, parameter: Parameter) -> Any:
    """It depends on no row, so a database evaluates it once for a batch."""
    if not shape.is_message:
        return null().label("caught_up")
    return unread.first_caught_up(parameter).scalar_subquery().label("caught_up")
