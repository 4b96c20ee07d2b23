"""Migrations beside others: an index that is built, and a table that is in use."""

import threading
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import inspect, text

from datastore import Datastore, migrations, schema_check
from datastore.migrations import large_index
from tests.support import databases
from tests.support.chats import make_chat, post

KINDS = (*databases.KINDS, databases.PARTITIONED)
NAME = "ix_push_job_started_at"


def create(store: Datastore) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"transaction_per_migration": True}
        )
        in_step = context.begin_transaction(_per_migration=True)
        with Operations.context(context), in_step:
            large_index.create(NAME, "push_job", ["started_at"], "started_at > due_at")
        connection.commit()


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_built_again_after_a_run_that_was_killed(
    tmp_path: Path, kind: str
) -> None:
    with databases.fresh(kind, tmp_path) as store:
        chat = make_chat(store, 1)
        for _ in range(databases.WIDTH + 1):
            post(store, chat)
        create(store)
        if store.is_sqlite:
            return
        create(store)

        names = {each["name"] for each in inspect(store.engine).get_indexes("push_job")}
        with store.engine.connect() as connection:
            is_valid = connection.scalar(
                text("SELECT bool_and(indisvalid) FROM pg_index")
            )
    assert NAME in names
    assert is_valid


def test_a_table_in_use_lets_others_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup reads all tables for an hour; whoever waits for one waits behind us."""
    monkeypatch.setattr(migrations, "PAUSE_S", 0.05)
    url = databases.empty_url("postgresql", tmp_path)
    store, other = Datastore(url), Datastore(url)
    with other.engine.connect() as connection, connection.begin():
        upgrade_to(store, schema_check.missing(None)[-2].revision)
        connection.execute(text("SELECT count(*) FROM message"))
        running = threading.Thread(target=migrations.upgrade, args=(store,))
        running.start()
        for _ in range(5):
            # With the timeout of a request; the migration waits for less.
            with other.write() as session:
                session.execute(text("SET LOCAL statement_timeout = '2s'"))
                session.execute(text("DELETE FROM message"))
        assert running.is_alive()
    running.join(60)

    with store.read() as session:
        found = schema_check.revision(session.connection())
    store.close()
    other.close()
    assert found == schema_check.newest()


def upgrade_to(store: Datastore, revision: str) -> None:
    with store.engine.connect() as connection:
        migrations._run(connection, revision, lambda _: None)
