"""`bottlepost import`."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import click

from api import import_lines
from api import imports as received
from api.uploads import CSV, JSON_LINES, PIECE_SIZE
from bottlepost.database import opened
from bottlepost.printed import Output, as_json, fail, plain, progress
from bottlepost.settings import read as read_settings
from config import Settings
from datastore import OUTAGES, Datastore, imports
from models.base import utc_now
from models.errors import CallerError
from models.imports import ImportJob, Problem
from models.pushes import COMPLETED, FAILED
from notifier.process import engine_thread

TYPES = {".csv": CSV, ".ndjson": JSON_LINES, ".jsonl": JSON_LINES}
FORMATS = {"csv": CSV, "ndjson": JSON_LINES}
CHECK_S = 0.2
STOP_S = 8.0


@click.command("import")
@click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    help="By default as the file's name ends: .csv, .ndjson or .jsonl.",
)
@as_json
def command(*, file: Path, format_: str | None, is_json: bool) -> None:
    """Import users, conversations, devices and members from a FILE.

    It is the same as POST /import: what is there already stays as it is, and a bad line
    is skipped and told at the end, with status 1. The import also goes on if this
    command is stopped.
    """
    media_type = FORMATS[format_] if format_ else TYPES.get(file.suffix.lower())
    if media_type is None:
        raise click.UsageError(f"{file.name}: say --format csv or --format ndjson")
    settings = read_settings("import")
    with opened(settings) as store:
        try:
            import_id = _receive(store, file, media_type)
        except CallerError as problem:
            fail(f"{file}: {problem}")
        _work(settings, store, import_id)
        _tell(store, import_id, Output(is_json=is_json))


def _receive(store: Datastore, file: Path, media_type: str) -> int:
    """Store the file's rows, so that an engine can import them."""
    with (
        file.open("rb") as source,
        progress("reading", file.stat().st_size) as tell,
    ):
        rows = import_lines.read(media_type, _pieces(source, tell))
        with store.write() as session:
            import_id = imports.begin(session, utc_now())
        try:
            received.store_rows(import_id, rows, store.write)
            with store.write() as session:
                imports.close(session, import_id, utc_now())
        except BaseException:
            with suppress(*OUTAGES), store.write() as session:
                imports.discard(session, import_id)
            raise
    return import_id


def _pieces(source: BinaryIO, tell: Callable[[int], None]) -> Iterator[bytes]:
    while piece := source.read(PIECE_SIZE):
        tell(len(piece))
        yield piece


def _work(settings: Settings, store: Datastore, import_id: int) -> None:
    """Import the rows with an engine of this process, or wait for another one's."""
    engine = engine_thread.shared(settings)
    engine.wake()
    pause = threading.Event()
    try:
        with progress("importing", _find(store, import_id).total) as tell:
            done = 0
            while (job := _find(store, import_id)).state not in (COMPLETED, FAILED):
                tell(job.done + job.failed - done)
                done = job.done + job.failed
                pause.wait(CHECK_S)
            tell(job.done + job.failed - done)
    finally:
        engine.stop(STOP_S)


def _find(store: Datastore, import_id: int) -> ImportJob:
    with store.read() as session:
        job = imports.find(session, import_id)
    if job is None:
        fail(f"the import {import_id} was deleted meanwhile")
    return job


def _tell(store: Datastore, import_id: int, output: Output) -> None:
    job = _find(store, import_id)
    with store.read() as session:
        problems: list[Problem] = imports.problems(session, import_id)
    lines = [
        f"line {each.line}: {f'{each.field}: ' if each.field else ''}{each.message}"
        for each in problems
    ]
    words = (
        f"{job.done} of {job.total} rows are imported, {job.changed} of them changed"
        f" something; {job.failed} bad lines"
    )
    if job.error:
        lines.append(f"the import failed: {job.error}")
    output.done(
        "\n".join([words, *map(plain, lines)]),
        id=job.id,
        state=job.state,
        total=job.total,
        done=job.done,
        changed=job.changed,
        failed=job.failed,
        error=job.error,
        errors=[each._asdict() for each in problems],
    )
    if job.failed or job.state == FAILED:
        sys.exit(1)
