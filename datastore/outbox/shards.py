"""Splits a large job by key range, so that several engines can work on it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from datastore.outbox import Claim, fanout
from models.chats import Member
from models.pushes import AT_ONCE, QUEUED, PushJob


def split(
    session: Session,
    owner: str,
    claim: Claim,
    *,
    after: tuple[int, int],
    size: int,
    now: datetime,
) -> Claim | None:
    """Keep the next `size` members in our job and make shards of the others.

    Returns our claim, shortened; None if the job is no longer ours. `after` is the
    last device that has been read already.
    """
    job = session.get_one(PushJob, claim.job_id)
    if job.lease_owner != owner:
        return None
    bounds = _bounds(session, claim, after[0], size)
    for low, high in zip(bounds, [*bounds[1:], None], strict=True):
        shard = replace(claim, until_user=high)
        # The first device of the first user after the previous range.
        start = (low + 1, 0)
        session.execute(
            insert(PushJob).values(
                message_id=job.message_id,
                chat_id=job.chat_id,
                kind=job.kind,
                only_user=job.only_user,
                parent_id=job.id,
                state=QUEUED,
                due_at=AT_ONCE,
                holds_chat=job.holds_chat,
                cursor_user=start[0],
                cursor_device=start[1],
                until_user=high,
                total=fanout.count_targets(session, shard, after=start, now=now),
                created_at=now,
                expires_at=job.expires_at,
            )
        )
    if bounds:
        job.until_user = bounds[0]
        if job.holds_chat:
            job.holding_shards += len(bounds)
    return replace(claim, until_user=job.until_user)


def _bounds(session: Session, claim: Claim, user: int, size: int) -> list[int]:
    """The last user of every range except the final one."""
    bounds: list[int] = []
    while True:
        bound = session.scalar(
            select(Member.user_id)
            .where(Member.chat_id == claim.chat_id, Member.user_id > user)
            .order_by(Member.user_id)
            .offset(size - 1)
            .limit(1)
        )
        if bound is None:
            return bounds
        bounds.append(bound)
        user = bound
