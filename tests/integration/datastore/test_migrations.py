"""Migrations create the tables that the models describe."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import column, insert, inspect, literal_column, select, table, text
from sqlalchemy.exc import OperationalError

from datastore import Datastore, chat_lists, migrations
from datastore.migrations import upgrade
from models.accounts import User
from models.base import Base
from models.chats import Chat, Member, Message
from models.pushes import PushJob
from tests.support import chats as support_chats

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
        listed = chat_lists.list_for(session, 1, before=None, limit=9)
        caught_up = session.execute(select(Member.chat_id, Member.caught_up))
        assert {each.membership.chat_id: each.unread for each in listed} == {
            1: 2,
            2: 0,
            3: 0,
        }
        assert {row[0]: row[1] for row in caught_up} == {1: None, 2: 1, 3: 1}


# One message a chat and second; the jobs of the second chat have been split or ended.
JOBS_BEFORE_0002 = [
    # id, chat, message, kind, parent, until_user, ordering_key, ended, lease_owner
    (1, 1, 1, "message", None, None, 1, False, "an engine"),
    (2, 1, 2, "message", None, None, 1, False, None),
    (3, 1, 1, "read", None, None, 1, False, None),
    (4, 1, 3, "message", None, None, None, False, None),
    (5, 1, 4, "message", None, None, 1, False, None),
    (6, 1, 4, "withdraw", None, None, 1, False, None),
    (7, 2, 5, "message", None, 9, None, True, None),
    (8, 2, 5, "message", 7, None, 2, False, None),
    (9, 2, 6, "message", None, None, 2, False, None),
    (10, 2, 7, "message", None, None, None, True, None),
    (11, 1, 99, "withdraw", None, None, 1, False, None),
]


def test_jobs_of_before_the_order_wait_for_one_another(store: Datastore) -> None:
    run(store, command.downgrade, "0001")
    add_jobs_before_0002(store)

    upgrade(store)

    with store.read() as session:
        jobs = {job.id: job for job in session.scalars(select(PushJob))}
        last = dict(session.execute(select(Chat.id, Chat.last_job_id)).all())
    assert {id_: job.waits_for for id_, job in jobs.items() if job.waits_for} == {
        2: 1,
        3: 1,
        5: 2,
        6: 5,
        9: 7,
    }
    assert {id_ for id_, job in jobs.items() if job.holds_chat} == {1, 2, 5, 8, 9}
    assert jobs[7].holding_shards == 1
    assert last == {1: 5, 2: 9}
    waiting = {id_ for id_, job in jobs.items() if job.due_at is None}
    assert waiting == {2, 3, 5, 6, 9, 7, 10}


def add_jobs_before_0002(store: Datastore) -> None:
    now = datetime(2026, 1, 1)
    rows = [
        {
            "id": id_,
            "chat": chat,
            "message": message,
            "kind": kind,
            "parent": parent,
            "until_user": until_user,
            "key": key,
            "due_at": None if ended else now,
            "finished_at": now if ended else None,
            "owner": owner,
            "now": now,
            "no": False,
        }
        for id_, chat, message, kind, parent, until_user, key, ended, owner in (
            JOBS_BEFORE_0002
        )
    ]
    user = table("user", column("id"), column("name"), column("created_at"))
    with store.write() as session:
        session.execute(insert(user).values(id=1, name="u", created_at=now))
        for chat in (1, 2):
            session.execute(
                text(
                    "INSERT INTO chat (id, name, last_seq, created_at)"
                    " VALUES (:chat, 'c', 99, :now)"
                ),
                {"chat": chat, "now": now},
            )
        for message in sorted({row["message"] for row in rows}):
            chat = next(row["chat"] for row in rows if row["message"] == message)
            session.execute(
                text(
                    "INSERT INTO message"
                    " (id, chat_id, seq, sender_id, text, silent, created_at)"
                    " VALUES (:message, :chat, :message, 1, 't', :no, :now)"
                ),
                {"message": message, "chat": chat, "now": now, "no": False},
            )
        session.execute(
            text(
                "INSERT INTO push_job (id, chat_id, message_id, kind, parent_id, state,"
                " until_user, ordering_key, due_at, finished_at, lease_owner,"
                " cursor_user, cursor_device, fanned_out, accepted, failed, attempts,"
                " created_at, expires_at) VALUES (:id, :chat, :message, :kind, :parent,"
                " 'queued', :until_user, :key, :due_at, :finished_at, :owner,"
                " 0, 0, :no, 0, 0, 0, :now, :now)"
            ),
            rows,
        )


def test_the_order_of_jobs_can_be_taken_back(store: Datastore) -> None:
    chat = support_chats.make_chat(store, 1)
    posted = [support_chats.post(store, chat) for _ in range(3)]

    run(store, command.downgrade, "0001")

    with store.read() as session:
        found = session.execute(
            text("SELECT id, ordering_key, due_at FROM push_job ORDER BY id")
        ).all()
    assert [(row.id, row.ordering_key) for row in found] == [
        (job, chat) for job in posted
    ]
    assert all(row.due_at is not None for row in found)


def test_rows_of_before_the_kinds_are_complete(store: Datastore) -> None:
    chat = support_chats.make_chat(store, 2)
    support_chats.post(store, chat)
    run(store, command.downgrade, "0008")

    upgrade(store)

    with store.read() as session:
        message = session.scalars(select(Message)).one()
        avatars = session.scalars(select(User.avatar_url)).all()
    assert (message.kind, message.notification) == (None, None)
    assert set(avatars) == {None}


def test_processes_from_before_the_kinds_go_on_posting(store: Datastore) -> None:
    chat = support_chats.make_chat(store, 2)
    with store.write() as session:
        sender = session.scalars(select(User.id)).first()
        older = "id", "chat_id", "seq", "sender_id", "text", "silent", "created_at"
        session.execute(
            insert(table("message", *map(column, older))).values(
                id=1,
                chat_id=chat,
                seq=1,
                sender_id=sender,
                text="hello",
                silent=literal_column("false"),
                created_at=literal_column("CURRENT_TIMESTAMP"),
            )
        )

    with store.read() as session:
        message = session.scalars(select(Message)).one()
    assert (message.text, message.kind, message.notification) == ("hello", None, None)


def test_failed_migration_leaves_nothing(tmp_path: Path) -> None:
    store = Datastore(f"sqlite:///{tmp_path}/half.db")
    with store.write() as session:
        session.connection().exec_driver_sql('CREATE TABLE "member" (odd INTEGER)')

    with pytest.raises(OperationalError, match="member"):
        upgrade(store)

    assert inspect(store.engine).get_table_names() == ["member"]
