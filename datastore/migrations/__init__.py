"""Brings a database's schema to the newest version, with Alembic."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from datastore import OUTAGES, Datastore, database_check, mariadb, schema_check

# Any fixed number: PostgreSQL's advisory lock of the process that migrates.
MIGRATION_LOCK = 6_071_403
# The transaction that has this lock waits for the migrations, each of which is shorter.
TRY_LOCK = f"SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK})"
GUARD_IDLE = "SET LOCAL idle_in_transaction_session_timeout = '1h'"
# `env` limits each wait for a table; there are many of them, for ten minutes in all.
LOCK_NOT_AVAILABLE = "55P03"
TRIES = 600
PAUSE_S = 0.6


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
    """Run the missing migrations, in one process at a time.

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
    with store.patient() as own:
        if own.is_postgresql:
            return _upgrade_by_steps(own, tell)
        return _upgrade_at_once(own, tell)


def _upgrade_at_once(store: Datastore, tell: Tell) -> Upgrade:
    """In one transaction, which SQLite undoes as a whole."""
    newest = schema_check.newest()
    with store.write(patient=True) as session, _locked(store, session):
        connection = session.connection()
        before = schema_check.revision(connection)
        if before is not None and before >= newest:
            return Upgrade(before, before)
        _run(connection, newest, tell)
        return Upgrade(before, newest)


def _upgrade_by_steps(store: Datastore, tell: Tell) -> Upgrade:
    """On PostgreSQL, a transaction for each migration.

    Senders wait while one of them holds their table, so each ends as soon as it can.
    """
    with store.engine.connect() as guard, guard.begin():
        guard.execute(text(GUARD_IDLE))
        # A statement that waits for the lock would hold up an index that is built.
        while not guard.scalar(text(TRY_LOCK)):
            time.sleep(PAUSE_S)
        before = schema_check.revision(guard)
        for step in schema_check.missing(before):
            _step(store, step.revision, tell)
            # Fails if the lock has been lost, and another process may migrate.
            guard.execute(text("SELECT 1"))
    return Upgrade(before, max(before or "", schema_check.newest()))


def _step(store: Datastore, revision: str, tell: Tell) -> None:
    """Run one migration, again and again if a table that it needs is in use."""
    for _ in range(TRIES):
        try:
            with store.engine.connect() as connection:
                _run(connection, revision, tell)
        except OperationalError as problem:
            if getattr(problem.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
        else:
            return
        time.sleep(PAUSE_S)
    raise MigrationFailed(
        f"the migration {revision} waits for a transaction that holds its table, such"
        " as a backup (see pg_stat_activity): run it again when that has ended"
    )


def _run(connection: Connection, revision: str, tell: Tell) -> None:
    config = Config()
    # It replaces what is between percent signs.
    here = str(Path(__file__).parent).replace("%", "%%")
    config.set_main_option("script_location", here)
    config.attributes["connection"] = connection
    config.attributes["tell"] = tell
    command.upgrade(config, revision)


@contextmanager
def _locked(store: Datastore, session: Session) -> Iterator[None]:
    """No other process migrates in this block; on SQLite, `write` sees to that."""
    if mariadb.is_meant(store.url):
        with mariadb.migrating(session):
            yield
        return
    yield
