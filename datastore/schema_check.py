"""Which schema the database has, and whether this version can work on it."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, inspect, text

VERSIONS = Path(__file__).parent / "migrations" / "versions"
MIGRATE = "bottlepost migrate"
_file_name = re.compile(r"([0-9]{4})_(\w+)\.py").fullmatch
_is_ours = re.compile(r"[0-9]{4}").fullmatch
# Errors about a table or a column that is missing: SQLSTATEs of PostgreSQL, numbers of
# MariaDB, and the texts of SQLite.
_STATES = ("42P01", "42703")
_NUMBERS = (1146, 1054)
_TEXTS = re.compile(r"no such (table|column)|has no column named").search


class NotMigrated(Exception):
    """The database lacks tables; the message says what to do, and may be public."""


class ForeignSchema(Exception):
    """The tables of the database are those of another application."""


class Migration(NamedTuple):
    """A migration."""

    revision: str
    title: str


@cache
def _steps() -> tuple[Migration, ...]:
    """All migrations in their order.

    From the names of the files, because Alembic would take memory for ever.
    """
    names = map(_file_name, (path.name for path in VERSIONS.iterdir()))
    return tuple(
        sorted(Migration(name[1], name[2].replace("_", " ")) for name in names if name)
    )


def newest() -> str:
    """The revision that this version needs."""
    return _steps()[-1].revision


def missing(found: str | None) -> list[Migration]:
    """The migrations that a database of this revision lacks; None is an empty one."""
    return [step for step in _steps() if found is None or step.revision > found]


def revision(connection: Connection) -> str | None:
    """The revision of the schema; None if there is no schema yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(
        text("SELECT version_num FROM alembic_version")
    )
    if found is not None and not _is_ours(found):
        raise ForeignSchema("has the tables of another application: choose a new one")
    return found


def require(connection: Connection) -> str:
    """The schema's revision, which may be newer than this version; or NotMigrated.

    Each migration keeps the code of the version before it working, because both run at
    once while an update is rolled out.
    """
    try:
        found = revision(connection)
    except ForeignSchema as problem:
        raise NotMigrated(f"The database {problem}.") from None
    if found is None:
        raise NotMigrated(f"The schema is missing: run `{MIGRATE}`")
    if found < newest():
        raise NotMigrated(
            f"The schema is old ({found}, and this version needs {newest()}):"
            f" run `{MIGRATE}`"
        )
    return found


def is_missing(problem: BaseException) -> bool:
    """Whether the error is that a table or a column is not there."""
    cause = getattr(problem, "orig", None) or problem
    first = cause.args[0] if cause.args else None
    return (
        getattr(cause, "sqlstate", None) in _STATES
        or first in _NUMBERS
        or (isinstance(first, str) and _TEXTS(first) is not None)
    )
