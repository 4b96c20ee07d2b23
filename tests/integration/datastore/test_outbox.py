"""Jobs are claimed once, in order, and only while their lease lasts."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from datastore import Datastore, outbox
from datastore.outbox import Claim, claims, due_work, job_status, leases, progress
from datastore.outbox.progress import Recorded
from models.base import utc_now
from models.chats import Message
from models.pushes import COMPLETED, WITHDRAW, PushJob
from tests.support import chats

LEASE = timedelta(seconds=30)


def claim(
    store: Datastore,
    owner: str,
    *,
    limit: int = 10,
    chain: int = 0,
    later_s: float = 0,
) -> list[Claim]:
    now = utc_now() + timedelta(seconds=later_s)
    until = now + LEASE
    with store.write() as session:
        ids = claims.claim(
            session, owner, limit=limit, chain=chain, now=now, lease_until=until
        )
        return outbox.load(session, owner, ids)


def step(of: Claim, **changes: object) -> progress.Step:
    known = {
        "job_id": of.job_id,
        "cursor": of.cursor,
        "fanned_out": of.fanned_out,
        "total": of.total,
        "accepted": of.accepted,
        "failed": of.failed,
        "error": of.error,
    }
    return progress.Step(**(known | changes))  # type: ignore[arg-type]


def record(store: Datastore, owner: str, *steps: progress.Step) -> Recorded:
    now = utc_now()
    with store.write() as session:
        return progress.record(session, owner, steps, now=now, lease_until=now + LEASE)


def postpone(session: Session, job: int, *, until: datetime) -> None:
    now = utc_now()
    leases.postpone(
        session, "a", job, error="broken", until=until, now=now, lease_until=now + LEASE
    )


def due(store: Datastore) -> bool:
    with store.read() as session:
        moment = claims.next_due_at(session)
    return moment is not None and moment <= utc_now()


def test_a_posted_job_is_due_at_once(store: Datastore) -> None:
    chats.post(store, chats.make_chat(store, 2))

    assert due(store)


def test_a_claimed_job_is_not_claimed_again(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2))

    first, second = claim(store, "a"), claim(store, "b")

    assert [c.job_id for c in first] == [job]
    assert second == []
    assert not due(store)


def test_a_job_whose_lease_has_run_out_is_claimed_by_another(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2))
    claim(store, "a")

    taken = claim(store, "b", later_s=31)

    assert [(c.job_id, c.attempts) for c in taken] == [(job, 2)]


def test_an_engine_that_lost_its_lease_changes_nothing(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2))
    [old] = claim(store, "a")
    claim(store, "b", later_s=31)

    lost, *_ = record(store, "a", step(old, end=COMPLETED, accepted=2, total=2))

    assert lost == {job}
    with store.read() as session:
        status = job_status.find(session, job)
    assert status
    assert (status.state, status.accepted) == ("processing", 0)


def test_the_end_of_a_job_is_final(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2))
    [mine] = claim(store, "a")

    record(store, "a", step(mine, end=COMPLETED, fanned_out=True, accepted=2, total=2))

    with store.read() as session:
        status = job_status.find(session, job)
    assert status
    assert (status.state, status.pending) == ("completed", 0)
    assert status.finished_at is not None
    assert claim(store, "b", later_s=3600) == []


def test_a_later_message_waits_for_the_fan_out_of_an_earlier_one(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)
    first, second = chats.post(store, chat), chats.post(store, chat)

    [mine] = claim(store, "a")
    blocked = claim(store, "b")
    record(store, "a", step(mine, fanned_out=True))
    free = claim(store, "b")

    assert mine.job_id == first
    assert blocked == []
    assert [c.job_id for c in free] == [second]


def test_jobs_that_follow_the_first_of_their_chat_are_claimed_with_it(
    store: Datastore,
) -> None:
    chat, other = chats.make_chat(store, 2), chats.make_chat(store, 2)
    posted_jobs = [chats.post(store, chat) for _ in range(4)]
    elsewhere = chats.post(store, other)

    mine = claim(store, "a", chain=2)
    blocked = claim(store, "b", chain=2)

    assert [c.job_id for c in mine] == [*posted_jobs[:3], elsewhere]
    assert blocked == []


def test_no_job_is_claimed_together_with_a_split_one_before_it(
    store: Datastore,
) -> None:
    chat = chats.make_chat(store, 2)
    first, _ = chats.post(store, chat), chats.post(store, chat)
    with store.write() as session:
        session.get_one(PushJob, first).until_user = 1

    assert [c.job_id for c in claim(store, "a", chain=9)] == [first]


def test_a_backlog_of_old_jobs_leaves_room_for_the_newest(store: Datastore) -> None:
    old = [chats.post(store, chats.make_chat(store, 1), delay_s=-60) for _ in range(9)]
    newest = chats.post(store, chats.make_chat(store, 1))

    mine = claim(store, "a", limit=4)

    assert {c.job_id for c in mine} == {*old[:3], newest}


def test_a_message_is_pushed_before_its_withdrawal(store: Datastore) -> None:
    job = chats.post(store, chats.make_chat(store, 2))
    now = utc_now()
    with store.write() as session:
        message = session.scalars(select(Message)).one()
        back = outbox.enqueue(
            session,
            message=message,
            deliver_at=now,
            ttl_s=60,
            now=now,
            kind=WITHDRAW,
        )

    [mine] = claim(store, "a")
    record(store, "a", step(mine, fanned_out=True))
    then = claim(store, "b")

    assert mine.job_id == job
    assert [(c.job_id, c.kind) for c in then] == [(back, WITHDRAW)]


def test_a_waiting_later_message_is_not_reported_as_due(store: Datastore) -> None:
    chat = chats.make_chat(store, 2)
    chats.post(store, chat)
    chats.post(store, chat)
    claim(store, "a")

    # Otherwise an idle engine would spin on a job that it cannot claim.
    assert not due(store)


def test_chats_do_not_wait_for_one_another(store: Datastore) -> None:
    posted_jobs = [chats.post(store, chats.make_chat(store, 2)) for _ in range(3)]

    assert [c.job_id for c in claim(store, "a")] == posted_jobs


def test_a_message_with_a_delivery_time_is_due_then(store: Datastore) -> None:
    chat = chats.make_chat(store, 2)
    job = chats.post(store, chat, delay_s=60)
    at_once = chats.post(store, chat)

    assert [c.job_id for c in claim(store, "a")] == [at_once]
    assert [c.job_id for c in claim(store, "a", later_s=61) if c.job_id == job] == [job]


def test_the_oldest_due_jobs_are_taken_first(store: Datastore) -> None:
    posted_jobs = [chats.post(store, chats.make_chat(store, 1)) for _ in range(5)]

    assert [c.job_id for c in claim(store, "a", limit=2)] == posted_jobs[:2]
    assert [c.job_id for c in claim(store, "b", limit=9)] == posted_jobs[2:]


def test_jobs_of_an_ended_engine_are_due_at_once(store: Datastore) -> None:
    posted_jobs = [chats.post(store, chats.make_chat(store, 1)) for _ in range(2)]
    claim(store, "a")

    with store.write() as session:
        released = due_work.release_owner(session, "a")

    assert released == 2
    assert [c.job_id for c in claim(store, "b")] == posted_jobs


def test_renewing_returns_the_jobs_that_are_still_ours(store: Datastore) -> None:
    posted_jobs = [chats.post(store, chats.make_chat(store, 1)) for _ in range(2)]
    claim(store, "a")
    with store.write() as session:
        session.connection().exec_driver_sql(
            f"UPDATE push_job SET lease_owner = 'b' WHERE id = {posted_jobs[0]}"
        )

    with store.write() as session:
        kept = leases.renew(session, "a", posted_jobs, utc_now() + 2 * LEASE)

    assert kept == {posted_jobs[1]}


def test_a_job_that_fails_by_itself_is_postponed_with_its_error(
    store: Datastore,
) -> None:
    job = chats.post(store, chats.make_chat(store, 1))
    claim(store, "a")
    now = utc_now()

    with store.write() as session:
        postpone(session, job, until=now + LEASE)

    assert claim(store, "b") == []
    [again] = claim(store, "b", later_s=31)
    assert again.error == "broken"


def test_a_job_that_fails_by_itself_does_not_block_its_chat(store: Datastore) -> None:
    chat = chats.make_chat(store, 1)
    first, second = chats.post(store, chat), chats.post(store, chat)
    claim(store, "a")
    now = utc_now()

    with store.write() as session:
        postpone(session, first, until=now + LEASE)

    assert [c.job_id for c in claim(store, "b")] == [second]


def test_an_unknown_job_has_no_status(store: Datastore) -> None:
    with store.read() as session:
        assert job_status.find(session, 77) is None
