"""The tables of jobs as partitions: nothing else changes, and old ones go at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, inspect, select, text, update

from datastore import Datastore, partitions, retention
from datastore.outbox import due_work, progress
from models.base import Base, utc_now
from models.pushes import COMPLETED, QUEUED, PushFailure, PushJob
from notifier import partition
from tests.support import chats, databases
from tests.support.outbox import ended
from tests.support.query_plans import analyze, plan_of
from tests.support.wait import until

NOW = utc_now()
LONG_AGO = NOW - timedelta(days=60)
LEASE = timedelta(seconds=30)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("postgresql", tmp_path) as store:
        yield store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh(databases.PARTITIONED, tmp_path) as store:
        yield store


def create(store: Datastore, ids: int = databases.WIDTH) -> None:
    with store.write() as session:
        partitions.create(session, ids, NOW)


def names(store: Datastore) -> list[str]:
    with store.read() as session:
        return [each.name for each in partitions.ranges(session)]


def jobs(store: Datastore, *, of: str = "push_job") -> list[int]:
    with store.read() as session:
        return list(session.scalars(text(f"SELECT id FROM {of} ORDER BY id")))


def end_all(store: Datastore, *, before: int = 10**9) -> None:
    """End all jobs up to an id, long ago."""
    with store.write() as session:
        session.execute(
            update(PushJob)
            .where(PushJob.id < before)
            .values(
                state=COMPLETED,
                due_at=None,
                waits_for=None,
                holds_chat=False,
                created_at=LONG_AGO,
                finished_at=LONG_AGO,
            )
        )


def fail(store: Datastore, *job_ids: int) -> None:
    row = {"device_id": 1, "outcome": "gone", "reason": "gone", "attempts": 1}
    with store.write() as session:
        session.execute(insert(PushFailure), [row | {"job_id": n} for n in job_ids])


def old(store: Datastore) -> list[str]:
    with store.read() as session:
        before = NOW - timedelta(days=30)
        return [each.name for each in partitions.old_ranges(session, before)]


def drop(store: Datastore, name: str) -> None:
    with store.write() as session:
        [found] = [each for each in partitions.ranges(session) if each.name == name]
        partitions.drop(session, found)


MONTH = f"{NOW:%Y_%m}"


def test_rows_stay_and_new_ones_go_to_the_month(plain: Datastore) -> None:
    chat = chats.make_chat(plain, 1)
    first = [chats.post(plain, chat) for _ in range(3)]
    fail(plain, *first)

    create(plain)
    new = chats.post(plain, chat)
    fail(plain, new)

    assert names(plain) == ["before", MONTH, "next"]
    assert jobs(plain) == [*first, new]
    assert jobs(plain, of="push_job_before") == first
    assert jobs(plain, of=f"push_job_{MONTH}") == [new]
    create(plain)
    assert names(plain) == ["before", MONTH, "next"]


def test_an_insert_beyond_all_ranges_does_not_fail(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)

    posted = [chats.post(store, chat) for _ in range(2 * databases.WIDTH + 3)]

    assert jobs(store) == posted
    assert jobs(store, of="push_job_default") == posted[-3:]


def test_only_the_foreign_keys_to_jobs_differ_from_the_models(store: Datastore) -> None:
    parts = {each for each in inspect(store.engine).get_table_names() if "_20" in each}
    parts |= {
        f"{table}_{part}"
        for table in partitions.TABLES
        for part in ("before", "next", "default")
    }

    def is_ours(thing: Any, name: str | None, kind: str, *_: Any) -> bool:
        return kind != "table" or name not in parts

    with store.engine.connect() as connection:
        options = {"include_object": is_ours}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, Base.metadata)

    found = {(what, constraint.name) for what, constraint in differences}
    assert found == {
        ("add_fk", "fk_push_job_parent_id_push_job"),
        ("add_fk", "fk_push_failure_job_id_push_job"),
    }


def test_the_next_partition_is_named_when_it_has_begun(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LEAST_WIDTH", 20)
    monkeypatch.setattr(partitions, "MONTH", timedelta(hours=1))
    chat = chats.make_chat(store, 1)

    def go_on() -> bool:
        with store.write() as session:
            return partitions.go_on(session, utc_now())

    assert not go_on()
    for _ in range(21):
        chats.post(store, chat)
    assert go_on()
    assert not go_on()
    assert names(store) == ["before", MONTH, f"{MONTH}_2", "next"]


def test_a_round_that_comes_too_late_leaves_a_gap_for_the_default(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LEAST_WIDTH", 20)
    monkeypatch.setattr(partitions, "MONTH", timedelta(hours=1))
    chat = chats.make_chat(store, 1)
    for _ in range(50):
        chats.post(store, chat)

    with store.write() as session:
        assert partitions.go_on(session, utc_now())
        last = partitions.ranges(session)[-1]
    assert last.low > 50
    posted = [chats.post(store, chat) for _ in range(last.low - 50)]

    assert jobs(store, of="push_job_next") == posted[-1:]
    with store.read() as session:
        assert partitions.in_default(session) == (41, posted[-2])


def test_old_partitions_are_dropped_with_their_failures(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    posted = [chats.post(store, chat) for _ in range(25)]
    fail(store, posted[0], posted[24])
    end_all(store, before=posted[22])

    assert old(store) == ["before", MONTH]
    for name in old(store):
        drop(store, name)

    assert names(store) == ["next"]
    assert jobs(store) == posted[20:]
    with store.read() as session:
        assert session.scalars(select(PushFailure.job_id)).all() == [posted[24]]
    # The chat's order goes on, and so do the ids.
    assert chats.post(store, chat) == posted[24] + 1


@pytest.mark.parametrize(
    "change",
    [
        {"due_at": NOW},
        {"lease_owner": "a"},
        {"waits_for": 1},
        {"created_at": NOW},
    ],
)
def test_a_partition_with_a_job_in_use_is_kept(
    store: Datastore, change: dict[str, Any]
) -> None:
    chat = chats.make_chat(store, 1)
    posted = [chats.post(store, chat) for _ in range(25)]
    end_all(store, before=posted[22])
    with store.write() as session:
        last_of_month = PushJob.id == posted[19]
        session.execute(update(PushJob).where(last_of_month).values(change))
        if "created_at" in change:
            later = PushJob.id > posted[19]
            session.execute(update(PushJob).where(later).values(change))

    assert MONTH not in old(store)


@pytest.mark.parametrize("has_ended", [False, True])
def test_shards_in_a_later_partition_belong_to_their_job(
    store: Datastore, *, has_ended: bool
) -> None:
    chat = chats.make_chat(store, 1)
    posted = [chats.post(store, chat) for _ in range(25)]
    end_all(store, before=posted[22])
    with store.write() as session:
        shard = {"parent_id": posted[19]}
        if not has_ended:
            shard |= {"state": QUEUED, "finished_at": None}
        session.execute(update(PushJob).where(PushJob.id == posted[21]).values(shard))
    fail(store, posted[21])

    if has_ended:
        drop(store, MONTH)
        assert jobs(store) == [posted[20], *posted[22:]]
        with store.read() as session:
            assert session.scalar(select(func.count()).select_from(PushFailure)) == 0
    else:
        assert old(store) == ["before"]


def test_messages_are_pruned_with_jobs_in_any_partition(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    posted = [chats.post(store, chat) for _ in range(45)]
    end_all(store)
    with store.write() as session:
        session.execute(text("UPDATE message SET created_at = :at"), {"at": LONG_AGO})

    with store.write() as session:
        found = retention.forget_messages(
            session, chat, after=0, default_days=30, now=NOW, limit=43
        )

    assert found.messages == 43
    assert jobs(store) == posted[43:]


def test_senders_and_engines_go_on_meanwhile(
    plain: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LEAST_WIDTH", 50)
    some = [chats.make_chat(plain, 1) for _ in range(2)]
    is_over = threading.Event()
    posted: list[int] = []

    def send(chat: int) -> None:
        while not is_over.is_set():
            posted.append(chats.post(plain, chat))

    def push_all() -> None:
        while chats.open_jobs(plain) or not is_over.is_set():
            steps = [ended(job) for job in take(plain)]
            now = utc_now()
            with plain.write() as session:
                progress.record(session, "a", steps, now=now, lease_until=now + LEASE)

    def work(rounds: int) -> None:
        try:
            make = partial(partitions.create, ids=50, now=NOW)
            partition.patiently(plain, make)
            for number in range(1, rounds):
                enough = number * 50
                until(lambda enough=enough: len(posted) > enough)
                go_on = partial(partitions.go_on, now=utc_now())
                partition.patiently(plain, go_on)
        finally:
            is_over.set()

    with ThreadPoolExecutor(4) as pool:
        started = [pool.submit(send, chat) for chat in some]
        started += [pool.submit(push_all), pool.submit(work, 4)]
        for each in started:
            each.result()

    assert jobs(plain) == sorted(posted)
    assert len(names(plain)) > 3


ENDED = 2000


@pytest.fixture(params=["postgresql", databases.PARTITIONED])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Datastore]:
    """Many ended jobs in each partition, and some that are due."""
    with databases.fresh("postgresql", tmp_path) as store:
        first = chats.post(store, chats.make_chat(store, 1))
        end_all(store)
        if request.param == databases.PARTITIONED:
            create(store, ENDED)
        with store.write() as session:
            job = session.get_one(PushJob, first)
            row = {
                "message_id": job.message_id,
                "chat_id": job.chat_id,
                "kind": job.kind,
                "state": COMPLETED,
                "created_at": NOW,
                "expires_at": NOW,
            }
            for _ in range(2):
                session.execute(insert(PushJob), [dict(row) for _ in range(ENDED)])
        chat = chats.make_chat(store, 1)
        for _ in range(3):
            chats.post(store, chat)
        analyze(store, "push_job")
        yield store


def look(store: Datastore) -> None:
    with store.read() as session:
        due_work.next_due(session)


def take(store: Datastore) -> list[int]:
    with_all = {"shards": 1, "with_imports": True, "lease": LEASE}
    taken = due_work.take(store, "a", limit=10, chain=5, **with_all)
    return [job.claim.job_id for job in taken.jobs]


def push(store: Datastore) -> None:
    now = utc_now()
    steps = [ended(job) for job in take(store)]
    assert len(steps) == 3
    with store.write() as session:
        progress.record(session, "a", steps, now=now, lease_until=now + LEASE)


def release(store: Datastore) -> None:
    with store.write() as session:
        due_work.release_owner(session, "a")


def send(store: Datastore) -> None:
    chats.post(store, 2)


@pytest.mark.parametrize("work", [look, take, push, release, send])
def test_hot_statements_read_indexes_of_each_partition(
    history: Datastore, work: Callable[[Datastore], None]
) -> None:
    plan = plan_of(history, lambda: work(history), about="push_job")

    assert plan
    # A table without rows is read as a whole, because it has no pages.
    empty = ("push_job_before", "push_job_default", "push_job_next")
    scans = [line for line in plan if "Seq Scan on push_job" in line]
    assert not [line for line in scans if not any(each in line for each in empty)], plan
