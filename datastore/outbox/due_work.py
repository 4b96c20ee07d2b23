"""All that an engine can be woken for: pushes and imports."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, null, select
from sqlalchemy.orm import Session

from datastore import Datastore, imports, outbox
from datastore.outbox import Claim, claims, fanout, leases
from models.base import utc_now
from models.pushes import Target

# Devices that are read together with their job: all of a small conversation, and of a
# large one so few that many jobs fit into memory.
FIRST_TARGETS = 100


class Due(NamedTuple):
    """When the next of each can be claimed; in the past if one can be now."""

    push_at: datetime | None
    import_at: datetime | None

    @property
    def next_at(self) -> datetime | None:
        return min((moment for moment in self if moment is not None), default=None)


class Job(NamedTuple):
    """A claimed job and its first devices, `FIRST_TARGETS` at most.

    None where the first devices are no longer what is to be done.
    """

    claim: Claim
    targets: list[Target] | None
    # The job (id) of the same visit that comes before it in its chat.
    follows: int | None = None


class Taken(NamedTuple):
    """What was due at a look, and the jobs that were claimed because of it."""

    due: Due
    jobs: list[Job]


def take(
    store: Datastore,
    owner: str,
    claimed: list[int],
    *,
    limit: int,
    chain: int,
    shards: int,
    with_imports: bool,
    lease: timedelta,
) -> Taken:
    """Look, claim and load in one visit, for at every wake-up somebody waits for it.

    `claimed` holds jobs (ids) that have been claimed without anybody learning of it,
    because an earlier visit was cut short: they are loaded instead. Whoever begins
    the jobs clears it.
    """
    now = utc_now()
    due = Due(None, None)
    if not claimed:
        with store.read() as session:
            due = next_due(session, with_shards=shards > 0, with_imports=with_imports)
        if due.push_at is None or due.push_at > now:
            return Taken(due, [])
        with store.write() as session:
            # The lease begins when its turn has come, however long that took.
            now = utc_now()
            ids = claims.claim(
                session,
                owner,
                limit=limit,
                chain=chain,
                shards=shards,
                now=now,
                lease_until=now + lease,
            )
        claimed += ids
    return Taken(due, _load(store, owner, claimed, now))


def _load(store: Datastore, owner: str, ids: Sequence[int], now: datetime) -> list[Job]:
    if not ids:
        return []
    with store.read() as session:
        loaded = outbox.load(session, owner, ids)
        fresh = [each for each in loaded if not (each.is_withdrawn or each.fanned_out)]
        targets = fanout.first_targets(session, fresh, limit=FIRST_TARGETS, now=now)
    jobs: list[Job] = []
    last_of_chat: dict[int, int] = {}
    for claim in loaded:
        follows = None
        if claim.ordering_key is not None and claim.parent_id is None:
            follows = last_of_chat.get(claim.ordering_key)
            last_of_chat[claim.ordering_key] = claim.job_id
        jobs.append(Job(claim, targets.get(claim.job_id), follows))
    return jobs


def next_due(
    session: Session, *, with_shards: bool = True, with_imports: bool = True
) -> Due:
    """In one question, for it is asked at every wake-up."""
    question = _question(with_shards, with_imports)
    return Due(*session.connection().execute(question).one())


# Building it costs more than asking it.
@cache
def _question(with_shards: bool, with_imports: bool) -> Select[Any]:
    push_at = claims.due(shards=with_shards).scalar_subquery()
    import_at = imports.due().scalar_subquery() if with_imports else null()
    return select(push_at, import_at)


def release_owner(session: Session, owner: str, now: datetime) -> int:
    """Make what an ended engine held due at once; returns how many jobs that were."""
    pushes = leases.release_owner(session, owner, now)
    return pushes + imports.release_owner(session, owner, now)
