"""Outages and bugs of the server."""

import pytest

from datastore import Datastore, provider_troubles
from models.base import utc_now
from tests.support.chat_api import SERVICE_KEY, build_app
from tests.support.recording_dispatcher import RecordingDispatcher
from tests.support.wsgi_client import WsgiClient


def broken(store_url: str) -> WsgiClient:
    app = build_app(Datastore(store_url), RecordingDispatcher())
    return WsgiClient(app, SERVICE_KEY)


def test_database_without_tables_is_not_ready(tmp_path):
    client = broken(f"sqlite:///{tmp_path}/empty.db")

    answer = client.get("/readyz")

    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get("/healthz").status == 200


def test_database_that_cannot_be_opened_is_503(tmp_path):
    client = broken(f"sqlite:///{tmp_path}")

    assert client.get("/readyz").status == 503


def test_a_provider_in_trouble_is_named_and_leaves_the_server_ready(chat_api):
    assert chat_api.anonymous.get("/readyz").json == {"status": "ok", "troubles": []}
    with chat_api.store.write() as session:
        provider_troubles.report(session, "fcm shop", "invalid_grant", now=utc_now())

    answer = chat_api.anonymous.get("/readyz")

    (trouble,) = answer.json["troubles"]
    assert (answer.status, trouble["route"]) == (200, "fcm shop")
    # This route is public.
    assert b"invalid_grant" not in answer.body


def test_writers_queue_that_cannot_be_joined_is_503(chat_api, ann, tmp_path):
    (tmp_path / "test.db.lock").unlink()
    (tmp_path / "test.db.lock").mkdir()
    restarted = broken(f"sqlite:///{tmp_path}/test.db")

    assert restarted.post("/users", {"name": "Bob"}).status == 503
    assert ann.client.get("/devices").status == 200


@pytest.mark.parametrize("failing", ["dispatch"])
def test_defect_is_answered_with_its_number_and_logged_with_its_traceback(
    chat_api, ann, chat, caplog, failing
):
    def fail(job_id: int) -> None:
        raise RuntimeError("the secret inside")

    setattr(chat_api.dispatcher, failing, fail)
    answer = chat_api.say(ann, chat, "hello")

    assert (answer.status, answer.code) == (500, "internal_error")
    incident = answer.json["error"]["details"]["incident"]
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    assert incident in caplog.text
    assert "the secret inside" in caplog.text


def test_token_is_not_kept_in_clear(chat_api, ann):
    from sqlalchemy import select

    from models.accounts import ApiToken

    with chat_api.store.read() as session:
        (row,) = session.scalars(select(ApiToken))

    assert ann.client.token not in row.token_hash
    assert len(row.token_hash) == 64
