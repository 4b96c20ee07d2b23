"""Every write of an engine may be repeated, and comes too late without any effect.

A write is repeated when its commit succeeded and the answer was lost. It comes too late
when the engine was stuck for longer than its lease.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from datastore import Datastore, outbox
from datastore.outbox import (
    Claim,
    claims,
    due_work,
    fanout,
    leases,
    progress,
    shards,
)
from datastore.outbox.progress import Failure, Mark
from models.accounts import Device
from models.base import utc_now
from models.imports import ImportChunk, ImportJob
from models.pushes import AT_ONCE, COMPLETED, PushFailure, PushJob, Target
from tests.support import chats
from tests.support.outbox import LEASE, step

NOW = utc_now()
LATER = NOW + 2 * LEASE
TABLES = PushJob, PushFailure, Device, ImportJob, ImportChunk

Work = Callable[[Session, Claim, list[Target]], object]


def recorded(**changes: Any) -> Work:
    """A step of the job; `failures` and `marks` say for which device each is."""

    def work(session: Session, claim: Claim, targets: list[Target]) -> object:
        values = {
            name: value(targets) if callable(value) else value
            for name, value in changes.items()
        }
        one = step(claim.job_id, attempts=claim.attempts, **values)
        return progress.record(session, "a", [one], now=NOW, lease_until=NOW + LEASE)

    return work


def failed(which: int, attempts: int = 1) -> Callable[[list[Target]], list[Failure]]:
    return lambda targets: [
        Failure(
            device_id=targets[which].device_id,
            outcome="later",
            reason="busy",
            attempts=attempts,
            next_attempt_at=NOW + timedelta(seconds=5),
        )
    ]


def ids_of(which: int) -> Callable[[list[Target]], list[int]]:
    return lambda targets: [targets[which].device_id]


def marked(targets: list[Target]) -> list[Mark]:
    return [Mark(target=targets[0], disable=True, reason="gone")]


def renewed(session: Session, claim: Claim, _targets: list[Target]) -> object:
    return leases.renew(session, "a", [claim.job_id], NOW + LEASE)


def postponed(until: datetime | None) -> Work:
    def work(session: Session, claim: Claim, _targets: list[Target]) -> object:
        return leases.postpone(
            session,
            "a",
            claim.job_id,
            attempts=claim.attempts,
            error="broken",
            until=until,
            now=NOW,
            lease_until=NOW + LEASE,
        )

    return work


def split(session: Session, claim: Claim, targets: list[Target]) -> object:
    bounds = [target.user_id for target in targets[:2]]
    parts, after = [], (0, 0)
    for until_user in (*bounds, None):
        parts.append(shards.Part(after, until_user, 1))
        after = ((until_user or 0) + 1, 0)
    return shards.split(session, "a", claim, parts, now=NOW)


def released(session: Session, _claim: Claim, _targets: list[Target]) -> object:
    return due_work.release_owner(session, "a")


WRITES: dict[str, Work] = {
    "progress": recorded(accepted=2, cursor=(9, 9), total=3),
    "failures": recorded(new_failures=failed(1)),
    "changed failures": recorded(changed_failures=failed(0, attempts=2)),
    "resolved": recorded(resolved=ids_of(0)),
    "dropped": recorded(dropped=ids_of(0)),
    "all dropped": recorded(drop_all=True),
    "marks": recorded(marks=marked),
    "fan-out": recorded(fanned_out=True),
    "unblocked": recorded(lets_pass=True),
    "given back": recorded(fanned_out=True, release_until=AT_ONCE),
    "between retries": recorded(fanned_out=True, release_until=NOW),
    "end": recorded(fanned_out=True, end=COMPLETED),
    "renewal": renewed,
    "postponed": postponed(NOW),
    "postponed for good": postponed(None),
    "split": split,
    "release": released,
}


@pytest.fixture(params=WRITES)
def write(request: pytest.FixtureRequest) -> Work:
    return WRITES[request.param]


class Scene:
    """A job of engine "a" with a retry, and jobs behind it in its chat."""

    def __init__(self, store: Datastore) -> None:
        self.store = store
        chat = chats.make_chat(store, 3)
        self.jobs = [chats.post(store, chat) for _ in range(3)]
        self.claim = self.take("a")
        targets = fanout.next_targets(
            store, self.claim, after=(0, 0), limit=9, now=utc_now()
        )
        assert targets is not None
        self.targets = targets
        self.write(recorded(new_failures=failed(0)))

    def take(self, owner: str, now: datetime = NOW) -> Claim:
        with self.store.write() as session:
            # Those behind it, too.
            ids = claims.claim(
                session, owner, limit=1, chain=1, now=now, lease_until=now + LEASE
            )
            return outbox.load(session, owner, ids)[0]

    def write(self, work: Work) -> None:
        with self.store.write() as session:
            work(session, self.claim, self.targets)

    def rows(self) -> list[Any]:
        with self.store.read() as session:
            found = [session.execute(select(table.__table__)) for table in TABLES]
            return [sorted(rows.all(), key=repr) for rows in found]


@pytest.fixture
def scene(store: Datastore) -> Scene:
    return Scene(store)


def test_a_write_whose_answer_was_lost_is_repeated_without_effect(
    scene: Scene, write: Work
) -> None:
    scene.write(write)
    after_first = scene.rows()

    scene.write(write)

    assert scene.rows() == after_first


def test_an_engine_that_wakes_up_after_its_lease_writes_nothing(
    scene: Scene, write: Work
) -> None:
    taken = scene.take("b", LATER)
    assert taken.job_id == scene.claim.job_id
    with scene.store.write() as session:
        # The engine that wakes up may have claimed one that waits behind it, too.
        session.execute(
            update(PushJob).where(PushJob.lease_owner == "a").values(lease_owner=None)
        )
    before = scene.rows()

    scene.write(write)

    assert scene.rows() == before


def test_a_job_that_is_claimed_again_is_safe_from_writes_of_its_earlier_claim(
    scene: Scene, write: Work
) -> None:
    if write in (renewed, released):
        pytest.skip("it concerns whatever the engine has")
    with scene.store.write() as session:
        due_work.release_owner(session, "a")
    again = scene.take("a")
    assert (again.job_id, again.attempts) == (scene.claim.job_id, 2)
    before = scene.rows()

    scene.write(write)

    assert scene.rows() == before


def test_a_lease_that_its_owner_takes_again_is_the_same_claim(scene: Scene) -> None:
    again = scene.take("a", LATER)

    assert again.job_id == scene.claim.job_id
    assert again.attempts == scene.claim.attempts == 1
