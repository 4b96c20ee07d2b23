"""Migrations create the tables that the models describe."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError

from datastore import Datastore
from datastore.migrations import upgrade
from models.base import Base


def test_migrated_database_matches_the_models(store: Datastore) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)

        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_migrating_twice_changes_nothing(store: Datastore) -> None:
    before = inspect(store.engine).get_table_names()

    upgrade(store)

    assert inspect(store.engine).get_table_names() == before


def test_failed_migration_leaves_nothing(tmp_path: Path) -> None:
    store = Datastore(f"sqlite:///{tmp_path}/half.db")
    with store.write() as session:
        session.connection().exec_driver_sql('CREATE TABLE "member" (odd INTEGER)')

    with pytest.raises(OperationalError, match="member"):
        upgrade(store)

    assert inspect(store.engine).get_table_names() == ["member"]
