"""The cost of a look at the queue does not depend on how many jobs have ended."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import insert

from datastore import Datastore, mariadb
from datastore.outbox import due_work
from models.base import utc_now
from models.pushes import COMPLETED, PushJob
from tests.support import chats
from tests.support.query_plans import analyze, plan_of

ENDED = 3000


def look(store: Datastore) -> None:
    with store.read() as session:
        due_work.next_due(session)


def take(store: Datastore) -> None:
    lease = timedelta(seconds=30)
    due_work.take(
        store, "a", limit=10, chain=5, shards=1, with_imports=True, lease=lease
    )


def take_in_a_crowd(store: Datastore) -> None:
    """A claim for which more is due than fits."""
    lease = timedelta(seconds=30)
    due_work.take(
        store, "a", limit=1, chain=5, shards=1, with_imports=True, lease=lease
    )


def release(store: Datastore) -> None:
    with store.write() as session:
        due_work.release_owner(session, "a")


@pytest.fixture
def history(store: Datastore) -> Datastore:
    """A store with many ended jobs and one that is due."""
    now = utc_now()
    first = chats.post(store, chats.make_chat(store, 1))
    with store.write() as session:
        job = session.get_one(PushJob, first)
        ended = {
            "message_id": job.message_id,
            "chat_id": job.chat_id,
            "kind": job.kind,
            "state": COMPLETED,
            "created_at": now,
            "expires_at": now,
        }
        session.execute(insert(PushJob), [dict(ended) for _ in range(ENDED)])
    analyze(store, "push_job")
    return store


@pytest.mark.parametrize("work", [look, take, take_in_a_crowd, release])
def test_the_queue_is_queried_without_reading_the_history(
    history: Datastore, work: Callable[[Datastore], None]
) -> None:
    plan = plan_of(history, lambda: work(history), about="push_job")

    assert plan
    if history.is_sqlite:
        assert not [line for line in plan if line.startswith("SCAN push_job")], plan
    elif mariadb.is_meant(history.url):
        # The followers of a claimed job are collected in a table of their own.
        own = ("<derived", "<union")
        scans = [line for line in plan if " ALL " in line]
        assert not [line for line in scans if not any(it in line for it in own)], plan
    else:
        assert not [line for line in plan if "Seq Scan on push_job" in line], plan
