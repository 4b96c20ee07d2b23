"""Brings a database's schema to the newest version, with Alembic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.orm import Session

from datastore import Datastore, mariadb

# Any fixed number: PostgreSQL's advisory lock of the process that migrates.
MIGRATION_LOCK = 6_071_403


def upgrade(store: Datastore) -> None:
    """Run the missing migrations in one transaction, in one process at a time."""
    with store.write() as session, _locked(store, session):
        config = Config()
        # It replaces what is between percent signs.
        here = str(Path(__file__).parent).replace("%", "%%")
        config.set_main_option("script_location", here)
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "head")


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
