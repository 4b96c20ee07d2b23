"""All that an engine can be woken for: pushes and imports."""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, null, select
from sqlalchemy.orm import Session

from datastore import imports, outbox


class Due(NamedTuple):
    """When the next of each can be claimed; in the past if one can be now."""

    push_at: datetime | None
    import_at: datetime | None

    @property
    def next_at(self) -> datetime | None:
        return min((moment for moment in self if moment is not None), default=None)


def next_due(
    session: Session, *, with_shards: bool = True, with_imports: bool = True
) -> Due:
    """In one question, for it is asked at every wake-up."""
    question = _question(with_shards, with_imports)
    return Due(*session.connection().execute(question).one())


# Building it costs more than asking it.
@cache
def _question(with_shards: bool, with_imports: bool) -> Select[Any]:
    push_at = outbox.due(shards=with_shards).scalar_subquery()
    import_at = imports.due().scalar_subquery() if with_imports else null()
    return select(push_at, import_at)


def release_owner(session: Session, owner: str, now: datetime) -> int:
    """Make what an ended engine held due at once; returns how many jobs that were."""
    pushes = outbox.release_owner(session, owner, now)
    return pushes + imports.release_owner(session, owner, now)
