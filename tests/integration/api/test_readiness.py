"""Readiness: whether the database can be read, and written to."""

from sqlalchemy import create_engine, text

from datastore import Datastore
from tests.support import databases
from tests.support.chat_api import SERVICE_KEY, build_app
from tests.support.recording_dispatcher import RecordingDispatcher
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
