"""Readiness: whether the database can be read, and written to."""

import pytest
from sqlalchemy import create_engine, text

from datastore import Datastore, write_probe, write_turn
from tests.integration.datastore.test_database_file import CHANGES
from tests.support import databases, stuck_writers
from tests.support.chat_api import SERVICE_KEY, build_app
from tests.support.recording_dispatcher import RecordingDispatcher
from tests.support.wait import until
from tests.support.wsgi_client import WsgiClient


def client_of(store: Datastore) -> WsgiClient:
    return WsgiClient(build_app(store, RecordingDispatcher()), SERVICE_KEY)


def test_a_read_only_postgresql_is_not_ready(tmp_path):
    url = databases.fresh_url("postgresql", tmp_path)
    before = client_of(Datastore(url)).get("/readyz")
    # New connections see what those to a standby see.
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(
            text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        )
    engine.dispose()

    after = client_of(Datastore(url)).get("/readyz")

    assert before.status == 200
    assert (after.status, after.code) == (503, "unavailable")
    assert "read-only" in after.json["error"]["message"]
    assert int(after.headers["retry-after"]) >= 1


@pytest.mark.parametrize("change", CHANGES)
def test_a_replaced_file_of_sqlite_is_not_ready(chat_api, ann, chat, tmp_path, change):
    assert chat_api.say(ann, chat, "before").status == 201
    assert chat_api.anonymous.get("/readyz").status == 200
    change(tmp_path / "test.db")

    answer = chat_api.anonymous.get("/readyz")
    said = chat_api.say(ann, chat, "after")

    assert (answer.status, answer.code) == (503, "unavailable")
    assert "has been replaced" in answer.json["error"]["message"]
    assert (said.status, said.code) == (503, "unavailable")
    assert chat_api.anonymous.get("/healthz").status == 200


@pytest.mark.parametrize("kind_of_writer", stuck_writers.KINDS)
def test_a_locked_sqlite_is_not_ready_although_no_request_writes(
    chat_api, tmp_path, kind_of_writer, monkeypatch
):
    monkeypatch.setattr(write_turn, "WAIT_S", 0.2)
    monkeypatch.setattr(write_probe, "EVERY_S", 0.0)
    ready = lambda: chat_api.anonymous.get("/readyz")  # noqa: E731
    with stuck_writers.KINDS[kind_of_writer](tmp_path / "test.db"):
        answer = until(lambda: found if (found := ready()).status == 503 else None)
    until(lambda: ready().status == 200)

    assert answer.code == "unavailable"
    assert "locked" in answer.json["error"]["message"]
