"""Retention deletes what ended long ago, and nothing else."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from datastore import Datastore, provider_troubles, retention
from models.accounts import Device
from models.base import utc_now
from models.chats import Message
from models.imports import ImportJob, ImportProblem
from models.pushes import COMPLETED, QUEUED, PushFailure, PushJob, RouteTrouble
from tests.support import chats

NOW = utc_now()
BEFORE = NOW - timedelta(days=30)
LONG_AGO = NOW - timedelta(days=31)


def end(store: Datastore, job_id: int, *, days_ago: int) -> None:
    ended_at = NOW - timedelta(days=days_ago)
    with store.write() as session:
        session.execute(
            update(PushJob)
            .where(PushJob.id == job_id)
            .values(
                state=COMPLETED,
                due_at=None,
                created_at=ended_at - timedelta(minutes=1),
                finished_at=ended_at,
            )
        )


def add(store: Datastore, *rows: object) -> None:
    with store.write() as session:
        session.add_all(rows)


def shard_of(store: Datastore, job_id: int) -> int:
    with store.write() as session:
        job = session.get_one(PushJob, job_id)
        shard = PushJob(
            message_id=job.message_id,
            chat_id=job.chat_id,
            parent_id=job_id,
            state=QUEUED,
            due_at=NOW,
            created_at=NOW,
            expires_at=NOW,
        )
        session.add(shard)
        session.flush()
        return shard.id


def failure(job_id: int) -> PushFailure:
    return PushFailure(
        job_id=job_id, device_id=1, outcome="gone", reason="Unregistered", attempts=1
    )


def forget(store: Datastore, limit: int = 100) -> int:
    with store.write() as session:
        return retention.forget_pushes(session, BEFORE, limit)


def left(store: Datastore, column) -> set[int]:
    with store.read() as session:
        return set(session.scalars(select(column)))


def test_old_jobs_are_deleted_with_their_failures(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    old, young, waiting = (chats.post(store, chat) for _ in range(3))
    end(store, old, days_ago=31)
    end(store, young, days_ago=29)
    add(store, failure(old), failure(young))

    assert forget(store) == 1

    assert left(store, PushJob.id) == {young, waiting}
    assert left(store, PushFailure.job_id) == {young}
    # The messages themselves are kept.
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(Message)) == 3
    assert forget(store) == 0


def test_job_is_kept_until_its_last_shard_is_old(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    job = chats.post(store, chat)
    shard = shard_of(store, job)
    newest = chats.post(store, chat)
    add(store, failure(job), failure(shard))
    end(store, job, days_ago=31)

    assert forget(store) == 0
    end(store, shard, days_ago=29)
    assert forget(store) == 0
    end(store, shard, days_ago=31)
    assert forget(store) == 1

    assert left(store, PushJob.id) == {newest}
    assert left(store, PushFailure.job_id) == set()


@pytest.mark.parametrize("is_split", [False, True])
def test_the_newest_job_is_kept_because_its_id_is_never_used_again(
    store: Datastore, *, is_split: bool
) -> None:
    chat = chats.make_chat(store, 1)
    old, newest = chats.post(store, chat), chats.post(store, chat)
    ids = {newest, shard_of(store, newest)} if is_split else {newest}
    for job in (old, *ids):
        end(store, job, days_ago=31)

    assert forget(store) == 1

    assert left(store, PushJob.id) == ids


def test_oldest_jobs_go_first_up_to_the_limit(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    jobs = [chats.post(store, chat) for _ in range(5)]
    for job in jobs[1:]:
        end(store, job, days_ago=31)

    assert forget(store, limit=3) == 3

    assert left(store, PushJob.id) == {jobs[0], jobs[4]}


def test_old_imports_are_deleted_with_their_bad_lines(store: Datastore) -> None:
    add(
        store,
        ImportJob(id=1, state=COMPLETED, created_at=LONG_AGO, finished_at=LONG_AGO),
        ImportJob(id=2, state=COMPLETED, created_at=LONG_AGO, finished_at=NOW),
        ImportJob(id=3, state=QUEUED, created_at=LONG_AGO, due_at=NOW),
    )
    add(
        store,
        *(ImportProblem(import_id=n, line=1, field="", message="") for n in (1, 2)),
    )

    with store.write() as session:
        assert retention.forget_imports(session, BEFORE, 100) == 1

    assert left(store, ImportJob.id) == {2, 3}
    assert left(store, ImportProblem.import_id) == {2}


def test_troubles_end_when_no_device_waits_for_them(store: Datastore) -> None:
    waiting = chats.post(store, chats.make_chat(store, 1))
    with store.write() as session:
        device = session.scalars(select(Device)).first()
        assert device is not None
        late = failure(waiting)
        late.device_id, late.next_attempt_at = device.id, NOW
        session.add(late)
        for route, since in (
            ("apns", LONG_AGO),
            ("webpush https://gone.example", LONG_AGO),
            ("fcm", NOW),
        ):
            session.add(RouteTrouble(route=route, reason="refused", since=since))

    with store.write() as session:
        forgotten = provider_troubles.forget(session, BEFORE)

    assert forgotten == 1
    assert left(store, RouteTrouble.route) == {"apns", "fcm"}
