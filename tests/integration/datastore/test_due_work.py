"""One look of an engine at the outbox returns what is due, ready to be pushed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from datastore import Datastore, outbox
from datastore.outbox import due_work, fanout
from datastore.outbox.due_work import Taken
from models.base import utc_now
from models.chats import Message
from models.pushes import PROCESSING, PushJob
from tests.support import chats

LEASE = timedelta(seconds=30)


def take(store: Datastore, *, chain: int = 0) -> Taken:
    return due_work.take(
        store,
        "a",
        limit=10,
        chain=chain,
        shards=1,
        with_imports=True,
        lease=LEASE,
    )


def test_a_job_comes_with_its_devices(store: Datastore) -> None:
    job_id = chats.post(store, chats.make_chat(store, 3))

    [job] = take(store).jobs

    assert job.claim.job_id == job_id
    assert [target.user_id for target in job.targets or ()] == [2, 3, 4]


def test_a_job_of_a_large_conversation_comes_with_its_first_devices(
    store: Datastore,
) -> None:
    chats.post(store, chats.make_chat(store, due_work.FIRST_TARGETS + 5))

    [job] = take(store).jobs

    assert job.targets is not None
    assert len(job.targets) == due_work.FIRST_TARGETS


def test_a_deleted_message_comes_without_devices(store: Datastore) -> None:
    chats.post(store, chats.make_chat(store, 3))
    with store.write() as session:
        session.execute(update(Message).values(deleted_at=utc_now()))

    [job] = take(store).jobs

    assert job.claim.is_deleted
    assert job.targets is None


def test_a_look_without_due_work_returns_the_next_time(store: Datastore) -> None:
    chats.post(store, chats.make_chat(store, 1), delay_s=60)

    due, jobs, _ = take(store)

    assert jobs == []
    assert due.next_at is not None
    assert due.next_at > utc_now()


def test_claims_of_a_look_that_was_cut_short_are_found(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = chats.post(store, chats.make_chat(store, 3))

    def cut_short(*_: object) -> None:
        raise ConnectionError("the database went away")

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "load", cut_short)
        with pytest.raises(ConnectionError):
            take(store)

    [job] = due_work.take_lost(store, "a", is_running=lambda claim: False)

    assert (job.claim.job_id, job.claim.attempts) == (job_id, 1)
    assert [target.user_id for target in job.targets or ()] == [2, 3, 4]


def test_running_jobs_and_those_of_others_are_not_taken_for_lost(
    store: Datastore,
) -> None:
    chats.post(store, chats.make_chat(store, 1))
    [running] = take(store).jobs

    ours = due_work.take_lost(store, "a", is_running=lambda c: c == running.claim)
    others = due_work.take_lost(store, "b", is_running=lambda claim: False)

    assert ours == others == []


def test_lost_claims_of_a_chat_keep_their_order(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    first, second = chats.post(store, chat), chats.post(store, chat)
    take(store, chain=5)

    lost = due_work.take_lost(store, "a", is_running=lambda claim: False)

    assert [(job.claim.job_id, job.follows) for job in lost] == [
        (first, None),
        (second, first),
    ]


def test_the_devices_of_a_chat_are_read_once_for_the_jobs_that_follow(
    store: Datastore,
) -> None:
    members = due_work.FIRST_TARGETS + 20
    chat = chats.make_chat(store, members)
    for _ in range(3):
        chats.post(store, chat)
    first, second, third = (job.claim for job in take(store, chain=5).jobs)
    reopen = fanout.next_targets(store, third, after=(0, 0), limit=1, now=utc_now())
    assert reopen is not None
    # A part of it is done: the devices that are left are its own affair.
    begun = replace(second, cursor=(5, 5))

    with store.read() as session:
        found, of_chats = due_work.read_first_targets(
            session, [first, begun], {first.job_id: [third], begun.job_id: [third]}
        )

    assert [each.job_id for each in of_chats] == [first.job_id]
    assert of_chats[0].up_to_seq == third.seq
    assert len(of_chats[0].listeners) == members + 1
    assert len(found[first.job_id] or ()) == members
    assert len(found[begun.job_id] or ()) == due_work.FIRST_TARGETS


def test_a_deleted_message_among_those_that_follow_is_known(store: Datastore) -> None:
    chat = chats.make_chat(store, 2)
    for _ in range(3):
        chats.post(store, chat)
    first, second, third = (job.claim for job in take(store, chain=5).jobs)
    with store.write() as session:
        session.execute(
            update(Message)
            .where(Message.id == second.message_id)
            .values(deleted_at=utc_now())
        )

    fanout.next_targets(store, third, after=(0, 0), limit=9, now=utc_now())
    with store.read() as session:
        _, [of_chat] = due_work.read_first_targets(
            session, [first], {first.job_id: [second, third]}
        )
        found, _ = due_work.read_first_targets(session, [second], {})

    assert of_chat.deleted == {second.job_id}
    assert found == {second.job_id: None}


def take_new(store: Datastore, job_id: int) -> list[due_work.Job]:
    return due_work.take_new(store, "a", job_id, lease=LEASE)


def test_a_new_job_is_claimed_by_its_id_and_comes_with_its_devices(
    store: Datastore,
) -> None:
    job_id = chats.post(store, chats.make_chat(store, 3))
    other = chats.post(store, chats.make_chat(store, 3))

    [job] = take_new(store, job_id)

    assert job.claim.job_id == job_id
    assert [target.user_id for target in job.targets or ()] == [2, 3, 4]
    with store.read() as session:
        lease = session.get_one(PushJob, job_id)
        assert (lease.lease_owner, lease.state) == ("a", PROCESSING)
        assert lease.due_at is not None
        assert abs(lease.due_at - utc_now() - LEASE) < LEASE / 2
        assert session.get_one(PushJob, other).lease_owner is None


def test_a_job_is_claimed_by_its_id_only_once(store: Datastore) -> None:
    job_id = chats.post(store, chats.make_chat(store, 3))
    take_new(store, job_id)

    assert take_new(store, job_id) == []


def test_jobs_that_are_not_due_at_once_are_not_claimed_by_their_ids(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 1)
    later = chats.post(store, chat, delay_s=60)
    chats.post(store, chat)
    waiting = chats.post(store, chat)

    assert [take_new(store, job_id) for job_id in (later, waiting, 999)] == [[], [], []]
