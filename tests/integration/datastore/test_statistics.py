"""The queries of the dashboard, on every database."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, update

from datastore import Datastore, statistics
from datastore.statistics import Bucket, QueueLengths
from models.base import utc_now
from models.pushes import PushFailure, PushJob
from tests.support import chats

NOON = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def chat(store: Datastore) -> int:
    return chats.make_chat(store, 3)


def job(store: Datastore, chat: int, created_at: datetime, **values: object) -> int:
    job_id = chats.post(store, chat)
    with store.write() as session:
        session.execute(
            update(PushJob)
            .where(PushJob.id == job_id)
            .values({"created_at": created_at, "waits_for": None} | values)
        )
    return job_id


def fail(store: Datastore, job_id: int, device: int, outcome: str, reason: str) -> None:
    with store.write() as session:
        session.add(
            PushFailure(
                job_id=job_id,
                device_id=device,
                outcome=outcome,
                reason=reason,
                attempts=1,
            )
        )


@pytest.mark.parametrize("minutes", [-1, 0, 1, 7, 16, 17])
def test_first_job_since_a_time_is_found(store, chat, minutes) -> None:
    ids = [job(store, chat, NOON + n * MINUTE) for n in range(17)]
    # Ids may have gaps.
    with store.write() as session:
        session.delete(session.get(PushJob, ids[8]))

    with store.read() as session:
        first = statistics.first_job_since(session, NOON + minutes * MINUTE)

    at_or_after = [i for n, i in enumerate(ids) if n >= minutes and n != 8]
    assert first <= min(at_or_after, default=first)
    assert first > max((i for i in ids[: max(minutes, 0)]), default=0)


def test_queries_work_without_jobs(store: Datastore) -> None:
    with store.read() as session:
        first = statistics.first_job_since(session, NOON)

        assert statistics.over_time(session, first, NOON, MINUTE) == []
        assert statistics.delays(session, first, NOON, MINUTE) == []
        assert statistics.queue(session, NOON) == QueueLengths(0, 0, 0)
        assert statistics.failing_jobs(session, first) == []


def test_messages_and_pushes_are_counted_per_minute(store, chat) -> None:
    second = timedelta(seconds=1)
    job(store, chat, NOON - second, accepted=100)
    job(store, chat, NOON, accepted=3, failed=1)
    whole = job(store, chat, NOON + 59 * second, accepted=2)
    job(store, chat, NOON + 59 * second, accepted=7, parent_id=whole)
    job(store, chat, NOON + 59.9 * second, accepted=1, kind="withdraw")
    job(store, chat, NOON + 60 * second)

    with store.read() as session:
        counted = statistics.over_time(session, 1, NOON, MINUTE)

    assert counted == [Bucket(0, 2, 13, 1), Bucket(1, 1, 0, 0)]


def test_delays_are_from_jobs_that_have_ended(store, chat) -> None:
    job(store, chat, NOON, started_at=NOON + MINUTE)
    job(
        store,
        chat,
        NOON + MINUTE,
        started_at=NOON + MINUTE + timedelta(milliseconds=5),
        finished_at=NOON + MINUTE + timedelta(seconds=2),
    )

    with store.read() as session:
        (delay,) = statistics.delays(session, 1, NOON, MINUTE)

    assert delay == (1, pytest.approx(0.005), pytest.approx(2))


def test_queue_counts_jobs_that_have_not_ended(store, chat) -> None:
    now = utc_now()
    job(store, chat, now, due_at=now - MINUTE)
    job(store, chat, now, due_at=now + MINUTE, lease_owner="an engine")
    job(store, chat, now, due_at=now - MINUTE, lease_owner="a crashed engine")
    job(store, chat, now, due_at=now + MINUTE)
    job(store, chat, now, due_at=None)
    behind = job(store, chat, now, due_at=None, waits_for=1)
    job(store, chat, now, due_at=None, waits_for=behind, lease_owner="an engine")

    with store.read() as session:
        assert statistics.queue(session, now) == QueueLengths(
            due=2, leased=3, waiting=1
        )


def test_failures_have_their_reasons(store, chat) -> None:
    old = job(store, chat, NOON - MINUTE, failed=1)
    fine = job(store, chat, NOON, accepted=3)
    some = job(store, chat, NOON, failed=2, total=3, state="completed")
    all_of_it = job(store, chat, NOON, state="failed", error="apns: TopicDisallowed")
    fail(store, old, 2, "gone", "Unregistered")
    fail(store, some, 2, "later", "Shutdown")
    fail(store, some, 4711, "gone", "Unregistered")
    fail(store, all_of_it, 2, "refused", "TopicDisallowed")

    with store.read() as session:
        outcomes = statistics.outcomes(session, fine)
        jobs = statistics.failing_jobs(session, fine)
        devices = statistics.failing_devices(session, fine)

    assert sorted(outcomes) == [
        ("gone", "Unregistered", 1),
        ("later", "Shutdown", 1),
        ("refused", "TopicDisallowed", 1),
    ]
    assert [(j.id, j.error) for j in jobs] == [
        (all_of_it, "apns: TopicDisallowed"),
        (some, None),
    ]
    # The last reason of each device; a removed device has no owner.
    assert devices == [
        (2, 2, "user 2", "apns", "refused", "TopicDisallowed", 2, False),
        (4711, None, None, None, "gone", "Unregistered", 1, False),
    ]


def test_finding_the_first_job_takes_few_queries(store, chat) -> None:
    for n in range(40):
        job(store, chat, NOON + n * MINUTE)
    asked: list[str] = []
    event.listen(
        store.engine, "before_cursor_execute", lambda *call: asked.append(call[2])
    )

    with store.read() as session:
        statistics.first_job_since(session, NOON + 30 * MINUTE)

    assert len([one for one in asked if "push_job" in one]) <= 8
