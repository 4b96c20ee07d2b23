"""A filled town is a database like any other, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, inspect, select, text

from benchmarks import town
from benchmarks.report import Report
from benchmarks.town_plan import MOST_CHATS, Town
from datastore import Datastore, device_rows
from datastore.outbox import due_work
from models.accounts import Device, User
from models.chats import Chat, Member, Message
from models.pushes import PushJob
from tests.support import chats, databases

TOWN = Town(devices=2_003, memberships=3_001, messages=500)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Datastore]:
    directory = tmp_path_factory.mktemp(request.param)
    url = databases.fresh_url(request.param, directory)
    town.fill(url, TOWN, Report("a test"))
    store = Datastore(url)
    yield store
    store.close()


def count(store: Datastore, *where: Any) -> int:
    with store.read() as session:
        return session.scalars(select(func.count()).where(*where)).one()


def test_everything_planned_is_there(filled: Datastore) -> None:
    planned = list(TOWN.chats())

    assert count(filled, User.id > 0) == TOWN.users
    assert count(filled, Device.id > 0) == TOWN.devices
    assert count(filled, Chat.id > 0) == len(planned)
    messages = sum(chat.messages for chat in planned)
    assert count(filled, Message.id > 0) == messages
    assert count(filled, PushJob.state == "completed") == messages


def test_the_database_computes_the_members_of_the_plan(filled: Datastore) -> None:
    planned = {
        (chat.id, user) for chat in TOWN.chats() for user in TOWN.members_of(chat)
    }

    with filled.read() as session:
        rows = session.execute(select(Member.chat_id, Member.user_id)).all()

    found = {(chat_id, user_id) for chat_id, user_id in rows}
    assert found == planned
    assert len(rows) == TOWN.memberships


def test_users_have_at_most_two_devices_and_500_conversations(
    filled: Datastore,
) -> None:
    for key, most in ((Device.user_id, 2), (Member.user_id, MOST_CHATS)):
        each = select(func.count(key)).group_by(key).subquery()
        with filled.read() as session:
            assert session.scalar(select(func.max(each.c[0]))) == most


def test_keys_and_indexes_are_those_of_a_new_database(
    filled: Datastore, tmp_path: Path
) -> None:
    with databases.fresh(filled.url.get_backend_name(), tmp_path) as new:
        assert schema(filled) == schema(new)


def schema(store: Datastore) -> dict[str, Any]:
    if store.is_sqlite:
        with store.read() as session:
            rows = session.execute(text("SELECT name, sql FROM sqlite_master")).all()
        return {name: sql for name, sql in rows}
    found = inspect(store.engine)
    return {
        table: (
            found.get_pk_constraint(table),
            sorted(found.get_foreign_keys(table), key=str),
            sorted(found.get_unique_constraints(table), key=str),
            sorted(found.get_indexes(table), key=str),
        )
        for table in found.get_table_names()
    }


def test_no_row_refers_to_one_that_is_not_there(filled: Datastore) -> None:
    # PostgreSQL has checked every row when it added the keys.
    sql = "PRAGMA foreign_key_check"
    if not filled.is_sqlite:
        sql = "SELECT conname FROM pg_constraint WHERE NOT convalidated"
    with filled.read() as session:
        assert session.execute(text(sql)).all() == []


def test_tokens_are_unique_and_stored_with_their_hash(filled: Datastore) -> None:
    with filled.read() as session:
        devices = session.scalars(select(Device)).all()

    assert len({device.token for device in devices}) == TOWN.devices
    for device in devices:
        assert device.token_hash == device_rows.hash_of(device.platform, device.token)
        assert len(device.token) == (64 if device.platform == "apns" else 142)
    android = sum(device.platform == "fcm" for device in devices)
    assert android / TOWN.devices == pytest.approx(0.7, abs=0.05)


def test_messages_are_numbered_and_written_by_members(filled: Datastore) -> None:
    with filled.read() as session:
        for chat in session.scalars(select(Chat).where(Chat.last_seq > 0)):
            written = session.scalars(
                select(Message).where(Message.chat_id == chat.id).order_by(Message.id)
            ).all()
            members = {
                *session.scalars(
                    select(Member.user_id).where(Member.chat_id == chat.id)
                )
            }

            assert [m.seq for m in written] == list(range(1, chat.last_seq + 1))
            assert {m.sender_id for m in written} <= members
            assert written[-1].id == chat.last_job_id
            times = [m.created_at for m in written]
            assert times == sorted(times)


def test_the_town_takes_further_messages(filled: Datastore) -> None:
    before = count(filled, PushJob.id > 0)
    with filled.read() as session:
        assert due_work.next_due(session).next_at is None

    job_id = chats.post(filled, chat_id=1)

    assert job_id > before
    with filled.read() as session:
        assert due_work.next_due(session).push_at is not None


def test_a_database_with_users_is_not_filled(filled: Datastore) -> None:
    url = filled.url.render_as_string(hide_password=False)

    with pytest.raises(SystemExit, match="holds users"):
        town.fill(url, TOWN, Report("a test"))
