"""The database at the start of a server: checked, and migrated where it may be."""

import logging
import multiprocessing
from importlib import import_module

from bottlepost import own_modules
from config import MIGRATE_AUTO, MIGRATE_CHECK, Settings, SettingsError
from datastore import Datastore, budget, database_check
from datastore.database_check import DatabaseProblem, Unfit
from datastore.schema_check import NotMigrated

log = logging.getLogger(__name__)

DATABASE_URL = "BOTTLEPOST_DATABASE_URL"


def check(settings: Settings) -> None:
    """All checks of the database at the start under another host.

    Raises SettingsError for a database that will never do. One that does not answer,
    or has no tables yet, is told to the log, and /readyz says 503 until it is there.
    """
    # A connection of its own, because the host may fork the application afterwards.
    store = Datastore(settings.database_url)
    try:
        told = database_check.warning(_migrated(store, settings))
    except Unfit as problem:
        raise SettingsError(DATABASE_URL, str(problem)) from None
    except DatabaseProblem as problem:
        told = f"{DATABASE_URL}: {problem}"
    except NotMigrated as problem:
        told = str(problem)
    finally:
        store.close()
    if told:
        log.warning("%s", told)


def _migrated(store: Datastore, settings: Settings) -> str:
    """The revision of the database, which is migrated if it has to be and may be.

    Here and not in a child, because a host may not let us fork. Alembic's memory then
    stays until the next start, which has nothing to migrate. Another server of
    databases is migrated by a command: its users may have no right to create tables.
    """
    try:
        return database_check.require(store)
    except NotMigrated:
        chosen = settings.migrate or (MIGRATE_AUTO if store.is_sqlite else None)
        if chosen != MIGRATE_AUTO:
            raise
    # Imported here, because Alembic would take memory in every worker.
    done = import_module("datastore.migrations").bring_up_to_date(store)
    before = done.before or "empty"
    log.info("the database was migrated from %s to %s", before, done.after)
    return str(done.after)


def upgrade(settings: Settings) -> None:
    """Check the database, upgrade it unless a setting forbids that, or exit.

    In a child, so that Alembic takes no memory for ever.
    """
    child = multiprocessing.get_context("fork").Process(
        target=_upgrade_here, args=(settings,)
    )
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(max(child.exitcode, 1))


def _upgrade_here(settings: Settings) -> None:
    # Imported here, because only this process needs it.
    migrations = import_module("datastore.migrations")
    try:
        store = Datastore(settings.database_url)
        if settings.migrate == MIGRATE_CHECK:
            told = _told_of_schema(store)
        else:
            told = database_check.warning(migrations.bring_up_to_date(store).after)
        _print_budget(store, settings)
    except Unfit as problem:
        own_modules.end(f"{DATABASE_URL} {problem}", 2)
    except DatabaseProblem as problem:
        own_modules.end(f"{DATABASE_URL}: {problem}", 1)
    if told:
        log.warning("%s", told)


def _told_of_schema(store: Datastore) -> str | None:
    """What is wrong with the schema; the server starts, and waits for the migration."""
    try:
        return database_check.warning(database_check.require(store))
    except NotMigrated as problem:
        return str(problem)


def _print_budget(store: Datastore, settings: Settings) -> None:
    """Compare the connections of this host with the limit of a database server."""
    engines = {"process": settings.push_slots, "pool": settings.pool_size}
    with store.read() as session:
        line = budget.describe(
            session,
            web_workers=settings.workers,
            connections=settings.database_connections,
            engines=engines.get(settings.dispatcher, settings.workers),
        )
    if line is not None and not store.has_pooler:
        log.info("%s", line)
