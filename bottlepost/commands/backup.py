"""`bottlepost backup FILE`."""

from pathlib import Path

import click

from bottlepost import database, dumps
from bottlepost.dumps import DumpFailed
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json, fail, progress
from bottlepost.settings import read as read_settings
from config import Settings, vapid
from datastore import Datastore, sqlite_copy
from datastore.sqlite_copy import BadCopy


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@as_json
def command(*, file: Path, force: bool, is_json: bool) -> None:
    """Write a backup of the database to FILE, while the server runs.

    SQLite: a checked copy, which is a database itself. PostgreSQL: an archive for
    pg_restore, made by pg_dump. MariaDB: a script, made by mariadb-dump.
    """
    settings = read_settings("backup")
    target = file.absolute()
    if target.exists() and not force:
        fail(f"{target} is there already: --force replaces it")
    if target.exists() and not target.is_file():
        # A device or a pipe would be gone, because a complete file takes its place.
        fail(f"{target} is no file: name one, and copy that")
    if not target.parent.is_dir():
        fail(f"{target.parent} is no directory")
    # An old schema is what one backs up before a migration.
    with database.opened(settings, may_be_old=True) as store:
        try:
            _back_up(store, target)
        except (BadCopy, DumpFailed) as problem:
            fail(f"no backup was made: {problem}")
    size = target.stat().st_size
    audit.command("backup", bytes=size)
    Output(is_json=is_json).done(
        f"{target} has {size:,} bytes", file=str(target), bytes=size
    )
    if told := _not_in_it(settings):
        click.echo(told, err=True)


def _back_up(store: Datastore, target: Path) -> None:
    if store.is_sqlite:
        _copy(Path(str(store.url.database)), target)
        return
    dump = dumps.postgresql if store.is_postgresql else dumps.mariadb
    with progress("dumping", None):
        dump(store.url, target)


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        raise BadCopy("it would replace the database itself")
    page = 4096
    with progress("copying", source.stat().st_size // page) as advance:
        done = 0

        def on_progress(left: int, total: int) -> None:
            nonlocal done
            advance(total - left - done)
            done = total - left

        sqlite_copy.copy(source, target, on_progress)


def _not_in_it(settings: Settings) -> str | None:
    """What a restored server needs beside the database."""
    made = settings.run_dir / vapid.FILE_NAME
    if settings.vapid_subject is None or settings.vapid_key_file or not made.exists():
        return None
    return f"keep a copy of {made}, too: browsers have subscribed to this key"
