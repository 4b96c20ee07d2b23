"""Handlers for imports: files of users, conversations, devices and members."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import islice

from sqlalchemy.orm import Session

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
MAX_ROWS = 100_000
# One transaction writes 30 KiB as a rule, and at most 1 MiB.
CHUNK_ROWS = 250
# The wake-up is for an import, not for a push job; an engine that wakes up looks for
# all kinds of work.
ANY_JOB = 0


def start(context: RequestContext, upload: Upload) -> Result[Started]:
    """Import users, conversations, devices and members from a file.

    The rows are imported after the response. Sending the same file again changes
    nothing.
    """
    rows = import_lines.read(upload.media_type, upload.pieces())
    upload.check_length()
    with context.store.write() as session:
        import_id = imports.begin(session, utc_now())
    try:
        # Outside the limit: a client that sends slowly blocks no others.
        with context.released("POST"):
            _receive(context, import_id, rows)
        with context.store.write() as session:
            imports.close(session, import_id, utc_now())
    except Exception:
        with suppress(*OUTAGES), context.store.write() as session:
            imports.discard(session, import_id)
        raise
    context.dispatcher.dispatch(ANY_JOB)
    link = JobLink(id=import_id, url=f"{context.prefix}/imports/{import_id}")
    return Result(202, Started(job=link))


def show(context: RequestContext, import_id: int) -> Result[Import]:
    """Show the progress of an import and the lines that were skipped."""
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
    """The import and its problems; raises NotFound."""
    with context.store.read() as session:
        job = imports.find(session, import_id)
        if job is None:
            raise NotFound
        return job, imports.problems(session, import_id)


def _receive(
    context: RequestContext, import_id: int, rows: Iterable[Row | Problem]
) -> None:
    @contextmanager
    def write() -> Iterator[Session]:
        with context.app.limit("POST"), context.store.write() as session:
            yield session

    store_rows(import_id, rows, write)


def store_rows(
    import_id: int,
    rows: Iterable[Row | Problem],
    write: Callable[[], AbstractContextManager[Session]],
) -> None:
    """Store the rows as they arrive, in chunks of one transaction each."""
    rows, count = iter(rows), 0
    while chunk := list(islice(rows, CHUNK_ROWS)):
        count += len(chunk)
        if count > MAX_ROWS:
            raise TooLarge(f"A file may have up to {MAX_ROWS:,} rows.", rows=MAX_ROWS)
        good = [row for row in chunk if isinstance(row, Row)]
        bad = [row for row in chunk if isinstance(row, Problem)]
        with write() as session:
            imports.add(session, import_id, good, bad)
    if not count:
        raise Invalid("The file has no rows.")
