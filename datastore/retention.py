"""Taking away what ended long ago: jobs, and what was noted about their devices.

Messages are the users' and stay; only their `client_id` is forgotten with the job.
"""

from datetime import datetime

from sqlalchemy import Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from datastore.statistics import first_job_since
from models.chats import Message
from models.imports import ImportChunk, ImportJob, ImportProblem
from models.pushes import MESSAGE, PushFailure, PushJob


def forget_pushes(session: Session, before: datetime, limit: int) -> int:
    """Delete up to `limit` push jobs that ended before that; returns how many.

    The oldest go first, each with all of its shards and failures.
    """
    found = session.execute(_ended_pushes(session, before).limit(limit)).all()
    if not found:
        return 0
    jobs = [row.id for row in found]
    shards = session.scalars(select(PushJob.id).where(PushJob.parent_id.in_(jobs)))
    parts = list(shards)
    session.execute(delete(PushFailure).where(PushFailure.job_id.in_(jobs + parts)))
    session.execute(delete(PushJob).where(PushJob.id.in_(parts)))
    session.execute(delete(PushJob).where(PushJob.id.in_(jobs)))
    # A message that is sent again would be answered with its job.
    sent = [row.message_id for row in found if row.kind == MESSAGE]
    session.execute(
        update(Message)
        .where(Message.id.in_(sent), Message.client_id.is_not(None))
        .values(client_id=None)
    )
    return len(jobs)


def _ended_pushes(session: Session, before: datetime) -> Select[int, str, int]:
    """Jobs of which every shard has ended, in the order of their ids."""
    shard = aliased(PushJob)
    goes_on = exists().where(
        shard.parent_id == PushJob.id,
        or_(shard.finished_at.is_(None), shard.finished_at >= before),
    )
    return (
        select(PushJob.id, PushJob.kind, PushJob.message_id)
        .where(
            # Nothing newer has to be looked at: there is no index on the end.
            PushJob.id < first_job_since(session, before),
            PushJob.parent_id.is_(None),
            PushJob.finished_at < before,
            ~goes_on,
        )
        .order_by(PushJob.id)
    )


def forget_imports(session: Session, before: datetime, limit: int) -> int:
    """Delete up to `limit` imports that ended before that; returns how many."""
    ended = select(ImportJob.id).where(ImportJob.finished_at < before)
    imports = session.scalars(ended.order_by(ImportJob.id).limit(limit)).all()
    for part in (ImportChunk, ImportProblem):
        session.execute(delete(part).where(part.import_id.in_(imports)))
    session.execute(delete(ImportJob).where(ImportJob.id.in_(imports)))
    return len(imports)
