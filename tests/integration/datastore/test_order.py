"""The jobs of a chat are claimed in order, with several senders and engines."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select, update

from datastore import Datastore
from datastore.outbox import due_work, leases, progress
from models.base import utc_now
from models.pushes import AT_ONCE, MESSAGE, READ, WITHDRAW, PushJob
from tests.support import chats
from tests.support.outbox import LEASE, about, claim, end, ended, ids


def posted(store: Datastore, count: int) -> list[int]:
    chat = chats.make_chat(store, 2)
    return [chats.post(store, chat) for _ in range(count)]


# -- who may be claimed


def test_only_the_first_job_of_a_chat_is_in_the_index_of_due_jobs(
    store: Datastore,
) -> None:
    jobs = posted(store, 50)

    with store.read() as session:
        due = session.scalars(select(PushJob.id).where(PushJob.due_at.is_not(None)))
        assert due.all() == jobs[:1]


def test_each_end_makes_the_next_job_due(store: Datastore) -> None:
    jobs = posted(store, 4)

    for job in jobs:
        assert ids(claim(store, "a")) == [job]
        end(store, "a", job)

    assert claim(store, "a") == []


def test_a_message_after_a_quiet_time_is_due_at_once(store: Datastore) -> None:
    chat = chats.make_chat(store, 2)
    chats.post(store, chat)
    end(store, "a", *ids(claim(store, "a")))

    job = chats.post(store, chat)

    assert ids(claim(store, "b")) == [job]


@pytest.mark.parametrize("kind", [WITHDRAW, READ])
def test_what_concerns_an_old_message_neither_waits_nor_holds_up(
    store: Datastore, kind: str
) -> None:
    chat = chats.make_chat(store, 2)
    old = chats.post(store, chat)
    claim(store, "a")
    end(store, "a", old)
    running, waiting = chats.post(store, chat), chats.post(store, chat)
    assert ids(claim(store, "a")) == [running]

    job = about(store, old, kind)

    assert ids(claim(store, "b")) == [job]
    end(store, "a", running)
    assert ids(claim(store, "a")) == [waiting]


def test_what_concerns_a_waiting_message_waits_for_it_and_not_for_all(
    store: Datastore,
) -> None:
    first, second, third = posted(store, 3)
    marks = [about(store, second, READ), about(store, second, WITHDRAW)]

    claim(store, "a")
    end(store, "a", first)
    assert ids(claim(store, "a")) == [second]
    end(store, "a", second)

    assert sorted(ids(claim(store, "b"))) == sorted([third, *marks])


def test_a_message_waits_for_every_shard_in_whatever_order_they_end(
    store: Datastore,
) -> None:
    for order_of_ends in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)):
        first, second = posted(store, 2)
        parts = [first, *split(store, first, 2)]
        assert sorted(ids(claim(store, "a"))) == sorted(parts)

        for number, k in enumerate(order_of_ends):
            assert claim(store, "b") == [], f"after {number} of {order_of_ends}"
            end(store, "a", parts[k])

        assert ids(claim(store, "b")) == [second]
        end(store, "b", second)


def test_shards_that_end_together_let_the_next_message_pass(store: Datastore) -> None:
    first, second = posted(store, 2)
    parts = [first, *split(store, first, 3)]
    claim(store, "a")

    end(store, "a", *parts)

    assert ids(claim(store, "b")) == [second]


def split(store: Datastore, job_id: int, count: int) -> list[int]:
    """Shards as `shards.split` makes them, in a chat that is too small for any."""
    with store.write() as session:
        job = session.get_one(PushJob, job_id)
        shards = [
            PushJob(
                message_id=job.message_id,
                chat_id=job.chat_id,
                kind=MESSAGE,
                parent_id=job_id,
                state=job.state,
                due_at=AT_ONCE,
                holds_chat=True,
                created_at=job.created_at,
                expires_at=job.expires_at,
            )
            for _ in range(count)
        ]
        session.add_all(shards)
        job.until_user, job.holding_shards = 1, count
        session.flush()
        return [shard.id for shard in shards]


# -- engines that are lost


def test_an_expired_first_job_is_claimed_again_and_keeps_its_place(
    store: Datastore,
) -> None:
    first, second = posted(store, 2)
    claim(store, "a")

    assert ids(claim(store, "b", later_s=31)) == [first]
    assert claim(store, "c") == []
    end(store, "b", first)
    assert ids(claim(store, "c")) == [second]


def test_followers_of_a_lost_engine_pass_to_the_one_with_the_first_job(
    store: Datastore,
) -> None:
    jobs = posted(store, 4)
    assert ids(claim(store, "a", chain=2)) == jobs[:3]

    assert ids(claim(store, "b", chain=9, later_s=31)) == jobs[:1]
    for job, after in itertools.pairwise(jobs):
        end(store, "b", job)
        assert ids(claim(store, "b")) == [after]

    assert end(store, "a", jobs[1]).lost == {jobs[1]}


def test_followers_of_an_ended_engine_wait_on(store: Datastore) -> None:
    jobs = posted(store, 3)
    claim(store, "a", chain=9)

    with store.write() as session:
        due_work.release_owner(session, "a")

    assert ids(claim(store, "b", chain=9)) == jobs


def test_a_follower_goes_on_under_the_lease_of_its_engine(store: Datastore) -> None:
    first, second = posted(store, 2)
    claim(store, "a", chain=9)

    end(store, "a", first)

    assert claim(store, "b") == []
    assert ids(claim(store, "b", later_s=31)) == [second]


def test_jobs_behind_those_of_an_engine_are_claimed_when_they_come(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)
    first = chats.post(store, chat)
    claim(store, "a")
    later = [chats.post(store, chat) for _ in range(3)]

    taken = due_work.take(
        store,
        "a",
        limit=9,
        chain=2,
        behind=[first],
        shards=1,
        with_imports=False,
        lease=LEASE,
    )

    assert [(job.claim.job_id, job.follows) for job in taken.jobs] == [
        (later[0], first),
        (later[1], later[0]),
    ]


def test_a_job_that_gives_way_before_its_turn_leaves_the_others_in_order(
    store: Datastore,
) -> None:
    first, second, third = posted(store, 3)
    claim(store, "a", chain=9)
    now = utc_now()

    with store.write() as session:
        leases.postpone(
            session,
            "a",
            second,
            error="broken",
            until=now + LEASE,
            now=now,
            lease_until=now + LEASE,
        )
        due_work.release_owner(session, "a")

    assert ids(claim(store, "b")) == [first]
    end(store, "b", first)
    assert ids(claim(store, "b")) == [third]
    assert ids(claim(store, "b", later_s=31, limit=1)) == [second]


# -- senders and engines at the same moment


@contextmanager
def pausing(store: Datastore) -> Iterator[None]:
    """Only a server lets two transactions write at the same time."""
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    yield


def test_an_engine_leaves_a_job_to_its_next_record_while_one_is_added_behind(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)
    first = chats.post(store, chat)
    claim(store, "a")

    with pausing(store):
        with store.write() as sender:
            second = chats.post_in(sender, chat, text="b", delay_s=0, ttl_s=60)
            assert end(store, "a", first)[:2] == (set(), {first})
            # The sender's transaction is open: the engine did not wait for it.
        assert claim(store, "b") == []
        assert end(store, "a", first)[:2] == (set(), set())
    assert ids(claim(store, "b")) == [second]


def test_a_sender_does_not_wait_for_an_engine_that_lets_its_front_pass(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)
    first = chats.post(store, chat)
    claim(store, "a")
    now = utc_now()

    with pausing(store), store.write() as engine:
        progress.record(engine, "a", [ended(first)], now=now, lease_until=now + LEASE)
        second = chats.post(store, chat)
        # It is due although it waits: the engine has not seen it. It is not claimed
        # before the engine has committed, and then it is.
        assert claim(store, "b") == []
    assert ids(claim(store, "b")) == [second]


def test_a_job_that_is_due_too_early_is_set_aside(store: Datastore) -> None:
    first, second, third = posted(store, 3)
    with store.write() as session:
        session.execute(
            update(PushJob).where(PushJob.id == second).values(due_at=AT_ONCE)
        )

    assert ids(claim(store, "a")) == [first]
    with store.read() as session:
        assert session.get_one(PushJob, second).due_at is None
    end(store, "a", first)
    assert ids(claim(store, "a")) == [second]
    end(store, "a", second)
    assert ids(claim(store, "a")) == [third]
