"""What the service has said about the look of messages, for the claims of their jobs.

A claim tells when a kind was last defined, in the statement that loads it anyway. So
the definitions are read only if there are any, and if they are newer than those that
this process has.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Integer, ScalarSelect, func, literal_column, select
from sqlalchemy.orm import Session

from datastore import kinds
from datastore.prepared import link_of
from datastore.prepared_lists import PreparedForIds
from models.chats import Chat, Member
from models.kind_rows import Kind
from models.kinds import Definition, find, patterns
from models.pushes import Notification

# How long a kind that was removed may still be used.
MAX_AGE_S = 5.0
MEMBERS = "members"


class Looks(NamedTuple):
    """The definitions of all kinds, and the names of those that count members."""

    definitions: Mapping[str, Definition]
    counting: frozenset[str]


class _Known(NamedTuple):
    looks: Looks
    stamp: datetime
    read_at: float


NO_LOOKS = Looks({}, frozenset())
# By the engine of the database; a process may use several.
_known: WeakKeyDictionary[Engine, _Known] = WeakKeyDictionary()


def stamp() -> ScalarSelect[Any]:
    """Selects when a kind was last defined; NULL if there is none."""
    return select(func.max(Kind.updated_at)).scalar_subquery()


def third_member() -> ScalarSelect[Any]:
    """Selects a member of the chat beside two others; NULL if there is none."""
    one, two = literal_column("1", Integer), literal_column("2", Integer)
    members = select(Member.user_id).where(Member.chat_id == Chat.id)
    third = members.order_by(Member.user_id).limit(one).offset(two)
    return third.correlate(Chat).scalar_subquery()


def known(session: Session, defined_at: datetime | None) -> Looks:
    """The definitions; `defined_at` is what `stamp` has selected."""
    if defined_at is None:
        return NO_LOOKS
    engine = session.get_bind().engine
    found = _known.get(engine)
    now = time.monotonic()
    if found is None or found.stamp != defined_at or now >= found.read_at + MAX_AGE_S:
        definitions = kinds.all(session)
        names = frozenset(
            name for name, each in definitions.items() if _counts_members(each)
        )
        found = _Known(Looks(definitions, names), defined_at, now)
        _known[engine] = found
    return found.looks


def _counts_members(definition: Definition) -> bool:
    return MEMBERS in patterns.placeholders(definition)


def of_message(
    looks: Looks, kind: str | None, changes: Definition | None, mentions: Sequence[int]
) -> dict[str, Any]:
    """The fields of the notification of a message, where they have values."""
    definitions = looks.definitions
    if not (definitions or changes or mentions):
        return {}
    definition, of_mentions = find(definitions, kind)
    return {
        "definition": definition,
        "mention_definition": of_mentions if mentions else None,
        "changes": changes,
        "mentions": frozenset(mentions),
    }


_COUNT = PreparedForIds(
    lambda ids: (
        select(Member.chat_id, func.count())
        .where(Member.chat_id.in_(ids))
        .group_by(Member.chat_id)
    )
)


def count_members(
    session: Session, notifications: Sequence[Notification], looks: Looks
) -> dict[int, int]:
    """How many members the chats have whose patterns ask for it; most do not."""
    asking = {
        each.chat_id
        for each in notifications
        if (looks.counting or each.changes) and _asks(each, looks)
    }
    return dict(_COUNT.all(link_of(session), list(asking))) if asking else {}


def _asks(notification: Notification, looks: Looks) -> bool:
    used = notification.definition, notification.mention_definition
    if any(looks.definitions[name] in used for name in looks.counting):
        return True
    return _counts_members(notification.changes or {})
