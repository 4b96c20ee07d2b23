"""Bringing a database's schema to the newest version, with Alembic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.orm import Session

from datastore import Datastore, mariadb

# Any fixed number: whoever migrates a PostgreSQL database holds this advisory lock.
MIGRATION_LOCK = 6_071_403


def upgrade(store: Datastore) -> None:
    """Run the missing migrations in one transaction; several callers wait in turn."""
    with store.write() as session, _turn(store, session):
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent))
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "head")


@contextmanager
def _turn(store: Datastore, session: Session) -> Iterator[None]:
    """Nobody else migrates in this block."""
    if mariadb.is_meant(store.url):
        with mariadb.migrating(session):
            yield
        return
    if store.url.get_backend_name() == "postgresql":
        session.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    yield
