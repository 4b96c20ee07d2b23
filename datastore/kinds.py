"""Kinds of notifications: storing them, and reading them for senders and engines."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datastore.prepared import Link, Prepared, link_of
from models.errors import Conflict, KindOfFile, NotFound
from models.kind_rows import Kind
from models.kinds import Definition

MOST = 200
# Members may name the kind.
FOR_MEMBERS = "members"

_ALL = Prepared(select(Kind.name, Kind.definition))
_ONE = Prepared(select(Kind.definition).where(Kind.name == bindparam("known_as")))
_NAMES = Prepared(select(Kind.name, Kind.for_members))


def all(session: Session) -> dict[str, dict[str, Any]]:
    """The definitions by name; two hundred at most."""
    return dict(_ALL.all(link_of(session), {}))


def names(link: Link) -> dict[str, bool]:
    """The names, and whether members may use them."""
    return dict(_NAMES.all(link, {}))


def definition(link: Link, name: str) -> Definition | None:
    """None if there is no such kind."""
    row = _ONE.first(link, {"known_as": name})
    return None if row is None else row[0]


def listed(session: Session) -> Sequence[Kind]:
    """In the order of their names."""
    return session.scalars(select(Kind).order_by(Kind.name)).all()


def find(session: Session, name: str) -> Kind:
    """Raises NotFound when there is no such kind."""
    kind = session.get(Kind, name)
    if kind is None:
        raise NotFound("There is no kind with this name.")
    return kind


def save(
    session: Session, name: str, definition: Definition, now: datetime
) -> tuple[Kind, bool]:
    """Store a definition that has been checked; and whether the kind is new.

    Raises KindOfFile for a kind of the file, and Conflict if there are too many.
    """
    kind = session.get(Kind, name, with_for_update=True)
    if kind is None:
        if session.scalars(select(func.count()).select_from(Kind)).one() >= MOST:
            raise Conflict(f"There may be {MOST} kinds; remove one first.")
        kind = _new(name, definition, _after_all(session, now), from_file=False)
        try:
            with session.begin_nested():
                session.add(kind)
        except IntegrityError:
            # Another request has stored the same name between our two statements.
            kind = session.get_one(Kind, name, with_for_update=True)
        else:
            return kind, True
    if kind.from_file:
        raise KindOfFile(field="name")
    _change(session, kind, definition, now)
    return kind, False


def remove(session: Session, name: str) -> None:
    """Its messages that are not pushed yet look like those without a kind.

    Raises NotFound when there is no such kind, and KindOfFile for one of the file.
    """
    kind = session.get(Kind, name, with_for_update=True)
    if kind is None:
        raise NotFound("There is no kind with this name.")
    if kind.from_file:
        raise KindOfFile(field="name")
    session.delete(kind)
    session.flush()


def is_loaded(session: Session, definitions: Mapping[str, Definition]) -> bool:
    """Whether the kinds of the file are stored, and no others as such."""
    stored = {kind.name: kind.definition for kind in listed(session) if kind.from_file}
    return stored == definitions


def load_file(
    session: Session, definitions: Mapping[str, Definition], now: datetime
) -> None:
    """Store the kinds of the file, and remove those that are no longer in it.

    The file takes a name from the API's kinds.
    """
    known = {kind.name: kind for kind in listed(session)}
    gone = [
        name
        for name, kind in known.items()
        if kind.from_file and name not in definitions
    ]
    if gone:
        session.execute(delete(Kind).where(Kind.name.in_(gone)))
    for name, definition in definitions.items():
        kind = known.get(name)
        if kind is None:
            stamp = _after_all(session, now)
            session.add(_new(name, definition, stamp, from_file=True))
        else:
            kind.from_file = True
            _change(session, kind, definition, now)
        session.flush()


def _new(name: str, definition: Definition, now: datetime, *, from_file: bool) -> Kind:
    return Kind(
        name=name,
        for_members=bool(definition.get(FOR_MEMBERS)),
        from_file=from_file,
        updated_at=now,
        definition=dict(definition),
    )


def _change(
    session: Session, kind: Kind, definition: Definition, now: datetime
) -> None:
    if kind.definition != definition:
        kind.definition = dict(definition)
        kind.for_members = bool(definition.get(FOR_MEMBERS))
        kind.updated_at = _after_all(session, now)
    session.flush()


def _after_all(session: Session, now: datetime) -> datetime:
    """A time behind those of all kinds, by which an engine sees that one is new.

    The clock of another host may have been ahead.
    """
    latest = session.scalar(select(func.max(Kind.updated_at)))
    return now if latest is None else max(now, latest + timedelta(microseconds=1))
