"""Migrations create the tables that the models describe."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import column, insert, inspect, literal_column, select, table, text
from sqlalchemy.exc import OperationalError

from datastore import Datastore, chats, migrations
from datastore.migrations import upgrade
from models.base import Base
from models.chats import Member

OLDER_ROWS = (
    """INSERT INTO chat (id, name, last_seq, created_at) VALUES
        (1, 'half read', 4, CURRENT_TIMESTAMP),
        (2, 'read', 1, CURRENT_TIMESTAMP),
        (3, 'empty', 0, CURRENT_TIMESTAMP)""",
    """INSERT INTO member (chat_id, user_id, role, joined_seq, read_seq) VALUES
        (1, 1, 'member', 0, 1), (2, 1, 'member', 0, 1), (3, 1, 'member', 0, 0)""",
    """INSERT INTO message
        (chat_id, seq, sender_id, text, silent, created_at, deleted_at) VALUES
        (1, 1, 1, '', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP),
        (1, 2, 1, '', false, CURRENT_TIMESTAMP, NULL),
        (1, 3, 1, '', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP),
        (1, 4, 1, '', false, CURRENT_TIMESTAMP, NULL),
        (2, 1, 1, '', false, CURRENT_TIMESTAMP, NULL)""",
)


def test_migrated_database_matches_the_models(store: Datastore) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)

        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_migrating_twice_changes_nothing(store: Datastore) -> None:
    before = inspect(store.engine).get_table_names()

    upgrade(store)

    assert inspect(store.engine).get_table_names() == before


def run(store: Datastore, command: Callable[[Config, str], object], to: str) -> None:
    with store.write() as session:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = session.connection()
        command(config, to)


def test_what_is_unread_is_found_in_older_rows(store: Datastore) -> None:
    run(store, command.downgrade, "0003-1")
    user = table("user", column("id"), column("name"), column("created_at"))
    with store.write() as session:
        at = literal_column("CURRENT_TIMESTAMP")
        session.execute(insert(user).values(id=1, name="u", created_at=at))
        for statement in OLDER_ROWS:
            session.execute(text(statement))

    upgrade(store)

    with store.read() as session:
        listed = chats.list_for(session, 1, before=None, limit=9)
        caught_up = session.execute(select(Member.chat_id, Member.caught_up))
        assert {each.membership.chat_id: each.unread for each in listed} == {
            1: 2,
            2: 0,
            3: 0,
        }
        assert {row[0]: row[1] for row in caught_up} == {1: None, 2: 1, 3: 1}


def test_failed_migration_leaves_nothing(tmp_path: Path) -> None:
    store = Datastore(f"sqlite:///{tmp_path}/half.db")
    with store.write() as session:
        session.connection().exec_driver_sql('CREATE TABLE "member" (odd INTEGER)')

    with pytest.raises(OperationalError, match="member"):
        upgrade(store)

    assert inspect(store.engine).get_table_names() == ["member"]
