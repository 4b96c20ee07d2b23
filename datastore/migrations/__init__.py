"""Brings a database's schema to the newest version, with Alembic."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from datastore import OUTAGES, Datastore, database_check, mariadb, schema_check

# Any fixed number: PostgreSQL's advisory lock of the process that migrates.
MIGRATION_LOCK = 6_071_403


class Upgrade(NamedTuple):
    """The revisions before and after; None is an empty database."""

    before: str | None
    after: str


class MigrationFailed(database_check.DatabaseProblem):
    """The message says why, in one line; no transaction was left half done."""


# Is called with the revision of each migration that has been run.
Tell = Callable[[str], None]


def bring_up_to_date(store: Datastore, tell: Tell = lambda _: None) -> Upgrade:
    """Check the database, and upgrade it; raises DatabaseProblem."""
    database_check.require_fit(store, migrates=True)
    try:
        return upgrade(store, tell)
    except (SQLAlchemyError, CommandError, *OUTAGES) as problem:
        why = database_check.reason(store.url, problem)
        raise MigrationFailed(
            f"the database cannot be brought up to date: {why}"
        ) from None


def upgrade(store: Datastore, tell: Tell = lambda _: None) -> Upgrade:
    """Run the missing migrations in one transaction, in one process at a time.

    A schema that is newer than this version stays as it is.
    """
    newest = schema_check.newest()
    if not mariadb.is_meant(store.url):
        # Without the lock of writers, which a process may hold that hangs, and that
        # ends only when the server has started. MariaDB may have something to tidy up.
        with store.read() as session:
            before = schema_check.revision(session.connection())
        if before is not None and before >= newest:
            return Upgrade(before, before)
    with (
        store.patient() as own,
        own.write(patient=True) as session,
        _locked(store, session),
    ):
        connection = session.connection()
        before = schema_check.revision(connection)
        if before is not None and before >= newest:
            return Upgrade(before, before)
        config = Config()
        # It replaces what is between percent signs.
        here = str(Path(__file__).parent).replace("%", "%%")
        config.set_main_option("script_location", here)
        config.attributes["connection"] = connection
        config.attributes["tell"] = tell
        command.upgrade(config, "head")
        return Upgrade(before, newest)


@contextmanager
def _locked(store: Datastore, session: Session) -> Iterator[None]:
    """No other process migrates in this block; on SQLite, `write` sees to that."""
    if mariadb.is_meant(store.url):
        with mariadb.migrating(session):
            yield
        return
    if store.url.get_backend_name() == "postgresql":
        session.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    yield
