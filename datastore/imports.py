"""Imports: an upload is stored in chunks, claimed under a lease, and applied.

A chunk is deleted in the transaction that applies and counts its rows, so after a
crash the import goes on with the first chunk that is left.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, insert, select, update
from sqlalchemy.orm import Session

from datastore import import_rows
from models.errors import Conflict
from models.imports import (
    RECEIVING,
    ImportChunk,
    ImportJob,
    ImportProblem,
    Problem,
    Row,
)
from models.pushes import COMPLETED, FAILED, PROCESSING, QUEUED

# Bad lines that are kept for the report; all are counted.
MOST_PROBLEMS = 500
# An upload that takes longer was cut off.
LONGEST_UPLOAD = timedelta(hours=1)
# An import fails after this many claims in a row that applied no chunk.
MOST_ATTEMPTS = 8


def begin(session: Session, now: datetime) -> int:
    """Start an upload; returns its id. Uploads that were cut off are deleted."""
    abandoned = session.scalars(
        select(ImportJob.id).where(
            ImportJob.state == RECEIVING, ImportJob.created_at < now - LONGEST_UPLOAD
        )
    )
    for import_id in abandoned.all():
        discard(session, import_id)
    job = ImportJob(state=RECEIVING, created_at=now)
    session.add(job)
    session.flush()
    return job.id


def add(
    session: Session, import_id: int, rows: Sequence[Row], problems: Sequence[Problem]
) -> None:
    """Store a chunk of rows and the bad lines between them."""
    job = session.get(ImportJob, import_id, with_for_update=True)
    if job is None:
        raise Conflict("The upload has taken too long.")
    job.total += len(rows) + len(problems)
    if rows:
        chunk = {"import_id": import_id, "first_line": rows[0].line, "rows": rows}
        session.connection().execute(insert(ImportChunk), chunk)
    count_problems(session, job, problems)


def close(session: Session, import_id: int, now: datetime) -> None:
    """End the upload, so that the import can be claimed."""
    session.execute(
        update(ImportJob)
        .where(ImportJob.id == import_id)
        .values(state=QUEUED, due_at=now)
    )


def discard(session: Session, import_id: int) -> None:
    """Delete an upload that will not be completed."""
    for model in (ImportChunk, ImportProblem):
        session.execute(delete(model).where(model.import_id == import_id))
    session.execute(delete(ImportJob).where(ImportJob.id == import_id))


def recent(session: Session, limit: int) -> Sequence[ImportJob]:
    """The newest imports whose upload has ended, newest first."""
    return session.scalars(
        select(ImportJob)
        .where(ImportJob.state != RECEIVING)
        .order_by(ImportJob.id.desc())
        .limit(limit)
    ).all()


def due() -> Select[Any]:
    """Selects the time from which the next import can be claimed."""
    return (
        select(ImportJob.due_at)
        .where(ImportJob.due_at.is_not(None))
        .order_by(ImportJob.due_at)
        .limit(1)
    )


def claim(
    session: Session, owner: str, *, now: datetime, lease_until: datetime
) -> ImportJob | None:
    """Claim the import that has been due the longest.

    An owner has one import at a time. If it has one already, because the answer to an
    earlier claim was lost, that is the one.
    """
    job = _first(session, ImportJob.lease_owner == owner)
    job = job or _first(session, ImportJob.due_at <= now)
    if job is None:
        return None
    job.state, job.lease_owner, job.due_at = PROCESSING, owner, lease_until
    job.attempts += 1
    job.started_at = job.started_at or now
    return job


def _first(session: Session, which: ColumnElement[bool]) -> ImportJob | None:
    return session.scalar(
        select(ImportJob)
        .where(which)
        .order_by(ImportJob.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def put_next(
    session: Session,
    owner: str,
    import_id: int,
    *,
    now: datetime,
    lease_until: datetime,
) -> bool:
    """Apply the next chunk; False when none is left, or the lease was lost."""
    job = _ours(session, owner, import_id)
    if job is None:
        return False
    chunk = session.scalar(
        select(ImportChunk)
        .where(ImportChunk.import_id == import_id)
        .order_by(ImportChunk.first_line)
        .limit(1)
    )
    if chunk is None:
        _end(job, COMPLETED, now)
        return False
    rows = [Row(*row) for row in chunk.rows]
    changed, problems = import_rows.put(session, rows, now, began_at=job.created_at)
    job.done += len(rows) - len(problems)
    job.changed += changed
    count_problems(session, job, problems)
    session.delete(chunk)
    job.due_at, job.attempts, job.error = lease_until, 0, None
    return True


def put_off(
    session: Session,
    owner: str,
    import_id: int,
    *,
    error: str,
    now: datetime,
    until: datetime,
) -> None:
    """Release an import that failed, to be tried again; the last attempt ends it."""
    job = _ours(session, owner, import_id)
    if job is None:
        return
    job.error = error
    if job.attempts >= MOST_ATTEMPTS:
        _end(job, FAILED, now)
    else:
        job.due_at, job.lease_owner = until, None


def find(session: Session, import_id: int) -> ImportJob | None:
    """An import whose upload is complete."""
    job = session.get(ImportJob, import_id)
    return job if job is not None and job.state != RECEIVING else None


def problems(session: Session, import_id: int) -> list[Problem]:
    """The bad lines that were kept, in order."""
    found = session.execute(
        select(ImportProblem.line, ImportProblem.field, ImportProblem.message)
        .where(ImportProblem.import_id == import_id)
        .order_by(ImportProblem.line)
    )
    return [Problem(*row) for row in found]


def _ours(session: Session, owner: str, import_id: int) -> ImportJob | None:
    return session.scalar(
        select(ImportJob)
        .where(ImportJob.id == import_id, ImportJob.lease_owner == owner)
        .with_for_update()
    )


def _end(job: ImportJob, state: str, now: datetime) -> None:
    job.state, job.finished_at = state, now
    job.due_at = job.lease_owner = None


def count_problems(session: Session, job: ImportJob, found: Sequence[Problem]) -> None:
    """Keep the first bad lines of an import, and count them all."""
    room = max(MOST_PROBLEMS - job.failed, 0)
    kept = [{"import_id": job.id, **each._asdict()} for each in found[:room]]
    if kept:
        session.connection().execute(insert(ImportProblem), kept)
    job.failed += len(found)
