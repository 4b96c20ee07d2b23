"""Deletes jobs and imports that ended long ago, with their failures.

Messages belong to the users and are kept; only their `client_id` goes with the job.
"""

from datetime import datetime

from sqlalchemy import Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from datastore.statistics import first_job_since
from models.chats import Message
from models.imports import ImportChunk, ImportJob, ImportProblem
from models.pushes import MESSAGE, PushFailure, PushJob


def forget_pushes(session: Session, before: datetime, limit: int) -> int:
    """Delete up to `limit` push jobs that ended before then; returns their number.

    The oldest go first, each with all of its shards and failures.
    """
    found = session.execute(_ended_pushes(session, before).limit(limit)).all()
    if not found:
        return 0
    jobs = [row.id for row in found]
    shards = session.scalars(select(PushJob.id).where(PushJob.parent_id.in_(jobs)))
    shard_ids = list(shards)
    session.execute(delete(PushFailure).where(PushFailure.job_id.in_(jobs + shard_ids)))
    session.execute(delete(PushJob).where(PushJob.id.in_(shard_ids)))
    session.execute(delete(PushJob).where(PushJob.id.in_(jobs)))
    # A message that is sent again would be answered with its job, which is deleted.
    sent = [row.message_id for row in found if row.kind == MESSAGE]
    session.execute(
        update(Message)
        .where(Message.id.in_(sent), Message.client_id.is_not(None))
        .values(client_id=None)
    )
    return len(jobs)


def _ended_pushes(session: Session, before: datetime) -> Select[int, str, int]:
    """Selects jobs whose shards have all ended, by id."""
    shard = aliased(PushJob)
    has_unfinished_shard = exists().where(
        shard.parent_id == PushJob.id,
        or_(shard.finished_at.is_(None), shard.finished_at >= before),
    )
    return (
        select(PushJob.id, PushJob.kind, PushJob.message_id)
        .where(
            # Newer jobs are skipped by id, because `finished_at` has no index.
            PushJob.id < first_job_since(session, before),
            PushJob.parent_id.is_(None),
            PushJob.finished_at < before,
            ~has_unfinished_shard,
        )
        .order_by(PushJob.id)
    )


def forget_imports(session: Session, before: datetime, limit: int) -> int:
    """Delete up to `limit` imports that ended before then; returns their number."""
    ended = select(ImportJob.id).where(ImportJob.finished_at < before)
    imports = session.scalars(ended.order_by(ImportJob.id).limit(limit)).all()
    for part in (ImportChunk, ImportProblem):
        session.execute(delete(part).where(part.import_id.in_(imports)))
    session.execute(delete(ImportJob).where(ImportJob.id.in_(imports)))
    return len(imports)
