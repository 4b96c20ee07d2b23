"""Splits a large job by key range, so that several engines can work on it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from datastore.outbox import Claim, fanout
from models.chats import Member
from models.pushes import AT_ONCE, QUEUED, PushJob


class Part(NamedTuple):
    """A range of a job's devices."""

    # The last (user, device) before it.
    after: tuple[int, int]
    # Its last user; None if it goes to the end of the chat.
    until_user: int | None
    devices: int


def plan(
    session: Session,
    claim: Claim,
    *,
    after: tuple[int, int],
    size: int,
    now: datetime,
) -> list[Part]:
    """The devices after (user, device), in parts of `size` members; a shard is one.

    It counts every device once, outside the transaction that splits the job, because
    senders would wait for that.
    """
    bounds = [] if claim.until_user else _bounds(session, claim, after[0], size)
    parts: list[Part] = []
    for until_user in (*bounds, claim.until_user):
        part = replace(claim, until_user=until_user)
        devices = fanout.count_targets(session, part, after=after, now=now)
        parts.append(Part(after, until_user, devices))
        # The first device of the first user after this range.
        after = ((until_user or 0) + 1, 0)
    return parts


def split(
    session: Session, owner: str, claim: Claim, parts: Sequence[Part], *, now: datetime
) -> Claim | None:
    """Keep the first part in our job and make shards of the others.

    Returns our claim, shortened; None if the job is no longer ours. If it is split
    already, because the answer to our first try was lost, nothing is added.
    """
    own, *others = parts
    ours = (
        PushJob.id == claim.job_id,
        PushJob.lease_owner == owner,
        PushJob.attempts == claim.attempts,
    )
    # It locks the row, so no other engine takes the job before we have committed.
    shortened = session.execute(
        update(PushJob)
        .where(*ours, PushJob.until_user.is_(None))
        .values(until_user=own.until_user)
        .execution_options(synchronize_session=False)
    )
    job = session.scalar(select(PushJob).where(*ours))
    if job is None:
        return None
    if not shortened.rowcount:  # type: ignore[attr-defined]
        return replace(claim, until_user=job.until_user)
    for part in others:
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
                cursor_user=part.after[0],
                cursor_device=part.after[1],
                until_user=part.until_user,
                total=part.devices,
                created_at=now,
                expires_at=job.expires_at,
                request_id=job.request_id,
                traceparent=job.traceparent,
            )
        )
    if job.holds_chat:
        job.holding_shards += len(others)
    return replace(claim, until_user=own.until_user)


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
