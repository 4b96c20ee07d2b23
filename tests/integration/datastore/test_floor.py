"""A look begins where the last one found something, and misses nothing for long."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import insert, text, update

from datastore import Datastore
from datastore.outbox import due_work
from datastore.outbox.claims import EVERYTHING, NEVER, Floor
from datastore.outbox.due_work import CLOCK_SKEW, Due
from models.base import utc_now
from models.pushes import AT_ONCE, COMPLETED, QUEUED, PushJob
from tests.support import chats
from tests.support.outbox import claim, end, record, step

PASSED = 3000


def look(store: Datastore, floor: Floor = EVERYTHING) -> Due:
    with store.read() as session:
        return due_work.next_due(session, floor)


def take(store: Datastore, floor: Floor) -> due_work.Taken:
    return due_work.take(
        store,
        "a",
        limit=10,
        chain=5,
        shards=1,
        with_imports=True,
        floor=floor,
        lease=timedelta(seconds=30),
    )


def test_a_look_at_everything_tells_where_the_next_may_begin(store: Datastore) -> None:
    jobs = [chats.post(store, chats.make_chat(store, 1)) for _ in range(3)]
    claim(store, "a", limit=1)
    end(store, "a", jobs[0])
    now = utc_now()

    floor = look(store).floor(EVERYTHING, now)

    assert floor == Floor(jobs[1], now - CLOCK_SKEW, NEVER)


def test_if_nothing_is_due_the_next_look_begins_at_the_next_job(
    store: Datastore,
) -> None:
    first = chats.post(store, chats.make_chat(store, 1))
    claim(store, "a")

    floor = look(store).floor(EVERYTHING, utc_now())

    assert floor.job_id == first + 1


def test_what_is_below_the_floor_is_for_a_look_at_everything(store: Datastore) -> None:
    jobs = [chats.post(store, chats.make_chat(store, 1)) for _ in range(3)]

    above = take(store, Floor(jobs[1]))
    rest = take(store, EVERYTHING)

    assert [job.claim.job_id for job in above.jobs] == jobs[1:]
    assert [job.claim.job_id for job in rest.jobs] == jobs[:1]


def test_what_is_due_later_is_above_any_floor(store: Datastore) -> None:
    now = utc_now()
    floor = look(store).floor(EVERYTHING, now)
    later = chats.post(store, chats.make_chat(store, 1), delay_s=5)

    soon = look(store, floor._replace(until=now + timedelta(seconds=1)))
    whole = look(store, floor)

    assert soon.next_at == now + timedelta(seconds=1)
    with store.read() as session:
        assert whole.next_at == session.get_one(PushJob, later).due_at


def test_a_record_tells_from_where_jobs_have_become_due(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    first, second, third = (chats.post(store, chat) for _ in range(3))
    assert [each.job_id for each in claim(store, "a")] == [first]

    assert record(store, "a", step(first)).due_from is None
    due_from = end(store, "a", first).due_from

    assert due_from is not None
    assert due_from <= second < third
    assert look(store, Floor(due_from)).at_once == second


def test_a_job_that_is_given_back_is_due_from_its_id(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 1))
    claim(store, "a")

    given_back = record(store, "a", step(job, release_until=AT_ONCE))

    assert given_back.due_from == job


@contextmanager
def old_transaction(store: Datastore) -> Iterator[None]:
    """PostgreSQL removes nothing that this transaction might still see."""
    with store.read() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        session.execute(text("SELECT txid_current()"))
        yield


def pass_through(store: Datastore, message_id: int, chat_id: int) -> None:
    now = utc_now()
    job = {"message_id": message_id, "chat_id": chat_id, "state": QUEUED}
    job |= {"due_at": AT_ONCE, "created_at": now, "expires_at": now}
    with store.write() as session:
        session.execute(insert(PushJob), [dict(job) for _ in range(PASSED)])
    for due_at in (now - timedelta(seconds=1), None):
        with store.write() as session:
            session.execute(
                update(PushJob)
                .where(PushJob.state == QUEUED)
                .values(due_at=due_at, state=QUEUED if due_at else COMPLETED)
            )


def test_a_look_reads_nothing_of_jobs_that_have_passed(store: Datastore) -> None:
    if store.url.get_backend_name() != "postgresql":
        pytest.skip("only PostgreSQL keeps the entries of passed jobs in its indexes")
    chat = chats.make_chat(store, 1)
    with store.read() as session:
        message_id = session.get_one(PushJob, chats.post(store, chat)).message_id
    with old_transaction(store):
        pass_through(store, message_id, chat)
        floor = look(store).floor(EVERYTHING, utc_now())
        chats.post(store, chats.make_chat(store, 1))

        whole = pages_read(store, EVERYTHING)
        few = pages_read(store, floor)

    assert whole > 50
    assert few < 20


def pages_read(store: Datastore, floor: Floor) -> int:
    """How many pages the look of an engine reads."""
    query = due_work._next_due(True, True, floor == EVERYTHING)._statement
    with store.read() as session:
        compiled = query.compile(
            dialect=session.get_bind().dialect,
            compile_kwargs={"render_postcompile": True},
        )
        values = {"floor_id": floor.job_id, "floor_at": floor.due_at}
        values |= {"until": floor.until}
        # As in a table with many rows.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        rows = session.connection().exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS) {compiled}",
            compiled.construct_params(values),
        )
        found = [re.search(r"shared hit=(\d+)", row[0]) for row in rows]
    return max(int(hit[1]) for hit in found if hit)
