"""What engines and senders do to the outbox, one transaction for each call."""

from datetime import timedelta

from datastore import Datastore, outbox
from datastore.outbox import Claim, claims, progress
from datastore.outbox.progress import Recorded, Step
from models.base import utc_now
from models.chats import Message
from models.pushes import COMPLETED, READ, PushJob

LEASE = timedelta(seconds=30)


def claim(
    store: Datastore, owner: str, *, limit: int = 99, chain: int = 0, later_s: float = 0
) -> list[Claim]:
    now = utc_now() + timedelta(seconds=later_s)
    with store.write() as session:
        ids = claims.claim(
            session,
            owner,
            limit=limit,
            chain=chain,
            shards=99,
            now=now,
            lease_until=now + LEASE,
        )
        return outbox.load(session, owner, ids)


def end(store: Datastore, owner: str, *job_ids: int) -> Recorded:
    return record(store, owner, *(ended(job_id) for job_id in job_ids))


def ended(job_id: int) -> Step:
    return step(job_id, fanned_out=True, end=COMPLETED)


def step(job_id: int, **changes: object) -> Step:
    known = {
        "job_id": job_id,
        "cursor": (0, 0),
        "fanned_out": False,
        "total": 0,
        "accepted": 0,
        "failed": 0,
        "error": None,
    }
    return Step(**(known | changes))  # type: ignore[arg-type]


def record(store: Datastore, owner: str, *steps: Step) -> Recorded:
    now = utc_now()
    with store.write() as session:
        return progress.record(session, owner, steps, now=now, lease_until=now + LEASE)


def about(store: Datastore, job_id: int, kind: str) -> int:
    """A withdrawal of that job's message, or a read mark."""
    now = utc_now()
    with store.write() as session:
        message = session.get_one(Message, session.get_one(PushJob, job_id).message_id)
        return outbox.enqueue(
            session,
            message=message,
            deliver_at=now,
            ttl_s=60,
            now=now,
            kind=kind,
            only_user=message.sender_id if kind == READ else None,
        )


def ids(found: list[Claim]) -> list[int]:
    return [each.job_id for each in found]
