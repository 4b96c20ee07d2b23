"""Steps of several jobs are written together, and devices are marked with care."""

from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from datastore import Datastore, outbox
from datastore.outbox import Claim, claims, due_work, fanout, progress, retries
from models.accounts import Device
from models.base import utc_now
from models.pushes import PushFailure, Target
from tests.support import chats

LEASE = timedelta(seconds=30)


def claimed(store: Datastore, members: int = 3) -> tuple[Claim, list[Target]]:
    chats.post(store, chats.make_chat(store, members))
    now = utc_now()
    with store.write() as session:
        ids = claims.claim(session, "a", limit=1, now=now, lease_until=now + LEASE)
        [claim] = outbox.load(session, "a", ids)
    targets = fanout.next_targets(store, claim, after=(0, 0), limit=100, now=now)
    assert targets is not None
    return claim, targets


def record(store: Datastore, claim: Claim, **changes: object) -> set[int]:
    now = utc_now()
    values = {
        "job_id": claim.job_id,
        "cursor": claim.cursor,
        "fanned_out": False,
        "total": None,
        "accepted": 0,
        "failed": 0,
        "error": None,
    }
    step = progress.Step(**(values | changes))  # type: ignore[arg-type]
    with store.write() as session:
        return progress.record(
            session, "a", [step], now=now, lease_until=now + LEASE
        ).lost


def later(target: Target, seconds: float = -1) -> progress.Failure:
    return progress.Failure(
        device_id=target.device_id,
        outcome="later",
        reason="busy",
        attempts=1,
        next_attempt_at=utc_now() + timedelta(seconds=seconds),
    )


def due(store: Datastore, claim: Claim) -> tuple[list[int], list[int]]:
    with store.read() as session:
        found = retries.find_due(session, claim, limit=10, now=utc_now())
    assert found is not None
    return [target.device_id for target in found[0]], found[1]


def device(store: Datastore, target: Target) -> Device:
    with store.read() as session:
        return session.get_one(Device, target.device_id)


def test_a_failed_device_is_retried_when_it_is_due(store: Datastore) -> None:
    claim, targets = claimed(store)

    record(store, claim, new_failures=[later(targets[0]), later(targets[1], 60)])

    assert due(store, claim) == ([targets[0].device_id], [])
    with store.read() as session:
        count, first = retries.count_waiting(session, claim.job_id)
    assert count == 2
    assert first is not None
    assert first < utc_now()


def test_a_device_that_accepts_later_needs_no_row(store: Datastore) -> None:
    claim, targets = claimed(store)
    record(store, claim, new_failures=[later(targets[0]), later(targets[1])])

    record(store, claim, resolved=[targets[0].device_id])

    with store.read() as session:
        left = session.scalars(select(PushFailure.device_id)).all()
    assert left == [targets[1].device_id]


def test_another_failure_replaces_the_last_one(store: Datastore) -> None:
    claim, targets = claimed(store)
    record(store, claim, new_failures=[later(targets[0])])

    final = progress.Failure(
        device_id=targets[0].device_id,
        outcome="gone",
        reason="Unregistered",
        attempts=2,
        next_attempt_at=None,
    )
    record(store, claim, changed_failures=[final])

    with store.read() as session:
        row = session.scalars(select(PushFailure)).one()
    assert (row.outcome, row.attempts, row.next_attempt_at) == ("gone", 2, None)


def test_dropped_devices_are_not_retried(store: Datastore) -> None:
    claim, targets = claimed(store)
    record(store, claim, new_failures=[later(target) for target in targets])

    record(store, claim, dropped=[targets[0].device_id])
    one_less, _ = due(store, claim)
    record(store, claim, drop_all=True)

    assert one_less == [target.device_id for target in targets[1:]]
    assert due(store, claim) == ([], [])


def test_a_device_removed_meanwhile_is_not_retried(store: Datastore) -> None:
    claim, targets = claimed(store)
    record(store, claim, new_failures=[later(targets[0]), later(targets[1])])
    with store.write() as session:
        session.delete(session.get_one(Device, targets[0].device_id))

    assert due(store, claim) == ([targets[1].device_id], [targets[0].device_id])


def test_a_phone_that_changed_its_user_may_be_recorded_twice(store: Datastore) -> None:
    claim, targets = claimed(store)
    record(store, claim, new_failures=[later(targets[0])])

    twice = [later(targets[0]), later(targets[0])]
    lost = record(store, claim, new_failures=twice)

    assert lost == set()
    assert due(store, claim) == ([targets[0].device_id], [])


def test_a_disabled_device_stays_disabled(store: Datastore) -> None:
    claim, targets = claimed(store)
    gone = progress.Mark(target=targets[0], disable=True, reason="Unregistered")
    record(store, claim, marks=[gone])

    suspect = progress.Mark(target=targets[0], reason="BadDeviceToken")
    record(store, claim, marks=[suspect])

    found = device(store, targets[0])
    assert found.disabled_at is not None
    assert found.reason == "Unregistered"


def test_a_gone_device_is_disabled(store: Datastore) -> None:
    claim, targets = claimed(store)

    mark = progress.Mark(target=targets[0], disable=True, reason="Unregistered")
    record(store, claim, marks=[mark])

    found = device(store, targets[0])
    assert found.disabled_at is not None
    assert found.reason == "Unregistered"
    assert device(store, targets[1]).disabled_at is None


def test_a_token_registered_again_meanwhile_is_not_disabled(store: Datastore) -> None:
    claim, targets = claimed(store)
    with store.write() as session:
        session.execute(update(Device).values(registered_at=utc_now()))

    mark = progress.Mark(target=targets[0], disable=True, reason="Unregistered")
    record(store, claim, marks=[mark])

    assert device(store, targets[0]).disabled_at is None


def test_a_suspect_device_is_marked_and_kept(store: Datastore) -> None:
    claim, targets = claimed(store)

    record(
        store, claim, marks=[progress.Mark(target=targets[0], reason="BadDeviceToken")]
    )

    found = device(store, targets[0])
    assert (found.disabled_at, found.reason) == (None, "BadDeviceToken")


def test_the_environment_that_took_the_push_is_remembered(store: Datastore) -> None:
    claim, targets = claimed(store)

    record(
        store, claim, marks=[progress.Mark(target=targets[0], environment="sandbox")]
    )

    assert device(store, targets[0]).environment == "sandbox"


def test_failures_of_a_lost_job_are_not_written(store: Datastore) -> None:
    claim, targets = claimed(store)
    with store.write() as session:
        due_work.release_owner(session, "a")

    lost = record(store, claim, new_failures=[later(targets[0])])

    assert lost == {claim.job_id}
    with store.read() as session:
        assert session.scalars(select(PushFailure)).all() == []


@pytest.mark.parametrize("is_later", [False, True])
def test_a_record_with_failures_waits_for_the_disk(
    store: Datastore, is_later: bool
) -> None:
    """Without them it may be forgotten: the engine knows it, and records it again."""
    if not store.is_postgresql or store.has_pooler:
        pytest.skip("the other databases lose a commit only with the machine")
    claim, [target, *_] = claimed(store)
    failures = [later(target)] if is_later else []
    step = progress.Step(
        job_id=claim.job_id,
        attempts=claim.attempts,
        cursor=claim.cursor,
        fanned_out=False,
        total=None,
        accepted=0,
        failed=0,
        error=None,
        new_failures=failures,
    )
    url = store.url.render_as_string(hide_password=False)
    with closing(Datastore(url, durable=False)) as hasty, hasty.write() as session:
        now = utc_now()
        progress.record(session, "a", [step], now=now, lease_until=now + LEASE)
        commit = session.scalar(text("SHOW synchronous_commit"))

    assert commit == ("on" if is_later else "off")
