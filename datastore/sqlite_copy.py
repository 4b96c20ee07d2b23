"""Copies a database of SQLite into a file while others write to it."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

# Between two calls about the progress.
PAGES_AT_ONCE = 2000
MOST_COMPLAINTS = 5

# Called with the pages that are left, and with their number in all.
OnProgress = Callable[[int, int], None]


class BadCopy(Exception):
    """The copy cannot be made or is damaged; the message says why."""


def copy(source: Path, target: Path, on_progress: OnProgress) -> None:
    """Make `target` a copy of the database as it is now, and check it.

    Its file is for its owner only, and appears under its name only when it is complete.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _require_room(source, target.parent)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(source, part, on_progress)
        _check(part)
        _sync(part)
        part.replace(target)
        _sync(target.parent)
    except (OSError, sqlite3.Error) as problem:
        raise BadCopy(str(problem)) from problem
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def _require_room(source: Path, directory: Path) -> None:
    needed, free = source.stat().st_size, shutil.disk_usage(directory).free
    if free < needed:
        raise BadCopy(
            f"{directory} has {free >> 20} MB free, and {needed >> 20} MB are needed"
        )


def _copy(source: Path, part: Path, on_progress: OnProgress) -> None:
    """Copy in steps, all of one state of the data.

    The open transaction keeps that state. Without it, SQLite would begin anew after
    each commit of another process, and never end beside a busy server.
    """
    uri = f"{source.absolute().as_uri()}?mode=rw"
    with (
        closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as old,
        closing(sqlite3.connect(part, isolation_level=None)) as new,
    ):
        old.execute("BEGIN")
        old.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        old.backup(
            new,
            pages=PAGES_AT_ONCE,
            progress=lambda _status, left, total: on_progress(left, total),
            sleep=0,
        )
        old.execute("ROLLBACK")


def _check(part: Path) -> None:
    with closing(sqlite3.connect(part)) as copied:
        found = copied.execute(f"PRAGMA integrity_check({MOST_COMPLAINTS})").fetchall()
    if found != [("ok",)]:
        raise BadCopy("the copy is damaged: " + "; ".join(str(row[0]) for row in found))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
