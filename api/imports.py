"""Many users, conversations, devices and members at once, from a file."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from api import import_lines
from api.context import RequestContext, Result
from api.schemas.imports import Import, ProblemOut, Started
from api.schemas.messages import JobLink
from api.uploads import Upload
from datastore import OUTAGES, imports
from models.base import utc_now
from models.errors import Invalid, NotFound, TooLarge
from models.imports import ImportJob, Problem, Row

UPLOAD_LIMIT = 64 * 1024 * 1024
MOST_ROWS = 100_000
# A transaction of a MiB at most, and mostly of 30 KiB.
CHUNK_ROWS = 250
# Not the number of a push: whoever is woken looks at all there is.
ANY_JOB = 0


def start(context: RequestContext, upload: Upload) -> Result[Started]:
    """Take a file of users, conversations, devices and members, and answer.

    Its rows are put in place behind the answer. The same file again changes nothing.
    """
    rows = import_lines.read(upload.media_type, upload.pieces())
    upload.check_length()
    with context.store.write() as session:
        import_id = imports.begin(session, utc_now())
    try:
        # Outside the gate: who sends slowly holds up nobody.
        with context.released():
            _receive(context, import_id, rows)
        with context.store.write() as session:
            imports.close(session, import_id, utc_now())
    except Exception:
        with suppress(*OUTAGES), context.store.write() as session:
            imports.discard(session, import_id)
        raise
    context.dispatcher.dispatch(ANY_JOB)
    link = JobLink(id=import_id, url=f"/imports/{import_id}")
    return Result(202, Started(job=link))


def show(context: RequestContext, import_id: int) -> Result[Import]:
    """How far an import is, and which lines were left out."""
    job, problems = find(context, import_id)
    return Result(
        200,
        Import(
            id=job.id,
            state=job.state,  # type: ignore[arg-type]
            total=job.total,
            done=job.done,
            changed=job.changed,
            failed=job.failed,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            error=job.error,
            errors=[ProblemOut(**problem._asdict()) for problem in problems],
        ),
    )


def find(context: RequestContext, import_id: int) -> tuple[ImportJob, list[Problem]]:
    """Raises NotFound when there is no such import."""
    with context.store.read() as session:
        job = imports.find(session, import_id)
        if job is None:
            raise NotFound
        return job, imports.problems(session, import_id)


def _receive(
    context: RequestContext, import_id: int, rows: Iterable[Row | Problem]
) -> None:
    """Store the rows chunk by chunk as they come in, each in a transaction."""
    rows, count = iter(rows), 0
    while chunk := list(islice(rows, CHUNK_ROWS)):
        count += len(chunk)
        if count > MOST_ROWS:
            raise TooLarge(f"A file may have {MOST_ROWS:,} rows.", rows=MOST_ROWS)
        good = [row for row in chunk if isinstance(row, Row)]
        bad = [row for row in chunk if isinstance(row, Problem)]
        with context.app.concurrency, context.store.write() as session:
            imports.add(session, import_id, good, bad)
    if not count:
        raise Invalid("There are no rows in this file.")
