"""Prepared statements: the same rows and errors as SQLAlchemy's own execution."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from datastore import OUTAGES, Datastore, accounts, pings
from datastore.prepared import Prepared, PreparedInsert, link_of
from models.accounts import User
from models.base import utc_now
from models.chats import Chat, Message
from tests.support import chats, databases

ON_EVERY_DATABASE = pytest.mark.parametrize("kind", databases.KINDS)
INSERT = PreparedInsert(Message)
BY_ID = Prepared(
    select(*Message.__table__.columns).where(Message.id == bindparam("known_as"))
)
RENAME = Prepared(
    update(Chat).where(Chat.id == bindparam("chat")).values(name=bindparam("called"))
)


@pytest.fixture
def store(tmp_path, kind):
    with databases.fresh(kind, tmp_path) as store:
        yield store


def values_of(store: Datastore, **more: Any) -> dict[str, Any]:
    chat_id = chats.make_chat(store, 1)
    with store.read() as session:
        sender_id = session.scalars(select(User.id)).first()
    return {
        "chat_id": chat_id,
        "seq": 1,
        "sender_id": sender_id,
        "client_id": None,
        "text": "ä % :x ?",
        "data": {"a": "ü"},
        "mentions": None,
        "created_at": utc_now(),
        "edited_at": None,
        **more,
    }


@ON_EVERY_DATABASE
def test_row_is_stored_and_read_as_by_the_orm(store: Datastore) -> None:
    values = values_of(store)
    with store.write() as session:
        message_id = INSERT.new_id(link_of(session), values)

    with store.read() as session:
        message = session.scalars(select(Message)).one()
        prepared = BY_ID.one(link_of(session), {"known_as": message_id})
        nulls = session.execute(
            select(Message.id).where(Message.mentions.is_(None))
        ).all()
    assert {name: getattr(message, name) for name in values} == values
    # A default of the column, which was not given.
    assert message.silent is False
    columns = [column.name for column in Message.__table__.columns]
    assert prepared == tuple(getattr(message, name) for name in columns)
    assert nulls == [(message_id,)]


@ON_EVERY_DATABASE
def test_only_matching_rows_are_counted_and_found(store: Datastore) -> None:
    chat_id = chats.make_chat(store, 1)
    with store.write() as session:
        link = link_of(session)
        assert RENAME.count(link, {"chat": chat_id, "called": "Tea"}) == 1
        assert RENAME.count(link, {"chat": chat_id + 99, "called": "Tea"}) == 0
        assert BY_ID.first(link, {"known_as": 99}) is None


@ON_EVERY_DATABASE
def test_refusal_is_sqlalchemys_error_without_the_values(store: Datastore) -> None:
    values = values_of(store, text="the secret inside")

    def insert_twice(session: Session) -> None:
        INSERT.new_id(link_of(session), values)
        INSERT.new_id(link_of(session), values)

    with pytest.raises(IntegrityError) as refused:
        store.write_grouped(insert_twice)
    assert "the secret inside" not in str(refused.value)
    with store.read() as session:
        assert session.scalars(select(Message)).all() == []


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("wrong", [{"chat": 1}, {"chat": 1, "called": "a", "x": 2}])
def test_each_run_gives_the_same_names(store: Datastore, wrong: Any) -> None:
    with store.write() as session:
        link = link_of(session)
        RENAME.count(link, {"chat": 1, "called": "Tea"})
        with pytest.raises(TypeError, match="2 values are needed"):
            RENAME.count(link, wrong)


@ON_EVERY_DATABASE
def test_lookup_sees_each_commit_and_holds_no_transaction(store: Datastore) -> None:
    chat_id = chats.make_chat(store, 1)
    name_of = Prepared(select(Chat.name).where(Chat.id == bindparam("chat")))
    with store.lookup() as link:
        for name in ("Tea", "Lunch"):
            with store.write() as session:
                RENAME.count(link_of(session), {"chat": chat_id, "called": name})
            assert name_of.one(link, {"chat": chat_id}) == (name,)


def end_other_connections(store: Datastore) -> None:
    with store.read() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )


def open_connections(store: Datastore) -> None:
    """Leave two connections in the pool, one of which ends the other one later."""
    with store.lookup() as one, store.read() as session:
        assert accounts.identify_user(one, 1) is None
        session.execute(select(Chat))


@pytest.mark.parametrize("kind", ["postgresql"])
def test_closed_connection_is_replaced_after_one_error(store: Datastore) -> None:
    open_connections(store)
    end_other_connections(store)

    problems = []
    for _ in range(4):
        try:
            with store.lookup() as link:
                accounts.identify_user(link, 1)
        except DBAPIError as problem:
            problems.append(problem.connection_invalidated)
    assert problems == [True]


@pytest.mark.parametrize("kind", ["postgresql"])
def test_connection_closed_while_idle_is_replaced_unnoticed(
    store: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_connections(store)
    end_other_connections(store)
    monkeypatch.setattr(pings, "PING_AFTER_S", 0.0)

    for _ in range(4):
        with store.lookup() as link:
            assert accounts.identify_user(link, 1) is None


@pytest.mark.parametrize(
    "url", ["sqlite:///{0}", "postgresql+psycopg:///none?host={0}/none"]
)
def test_lookup_without_a_database_is_an_outage(tmp_path: Path, url: str) -> None:
    store = Datastore(url.format(tmp_path))

    with pytest.raises(OUTAGES), store.lookup():
        pass
