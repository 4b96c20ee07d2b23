"""A database server that fails over, undoes transactions, or is read-only."""

import pytest
from sqlalchemy import create_engine, text

from tests.support.chat_api import ChatApi, User

pytestmark = pytest.mark.parametrize("kind", ["postgresql"], indirect=True)

TROUBLE = """
    CREATE SEQUENCE troubles;
    CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('troubles') <= 2 THEN
            RAISE EXCEPTION 'try again' USING ERRCODE = '{state}';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER trouble AFTER INSERT OR UPDATE ON {table}
    FOR EACH ROW EXECUTE FUNCTION trouble()
"""


def run(chat_api: ChatApi, sql: str) -> None:
    engine = create_engine(chat_api.store.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.exec_driver_sql(sql)
    engine.dispose()


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_no_sender_hears_of_a_transaction_that_was_undone(
    chat_api: ChatApi, ann: User, chat: int, state: str
) -> None:
    run(chat_api, TROUBLE.format(table="chat", state=state))

    assert chat_api.say(ann, chat, "hello").status == 201
    run(chat_api, "ALTER SEQUENCE troubles RESTART")
    renamed = ann.client.patch(f"/groupchat/{chat}", {"name": "New"})
    assert renamed.status == 200
    run(chat_api, "DROP TRIGGER trouble ON chat")


def read_only(chat_api: ChatApi, state: str) -> None:
    """For new connections; the server ends the others, as a failover does."""
    name = chat_api.store.url.database
    run(
        chat_api,
        f"ALTER DATABASE {name} SET default_transaction_read_only = {state};"
        " SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def test_a_read_only_database_is_not_ready_and_answers_503(
    chat_api: ChatApi, ann: User, chat: int
) -> None:
    assert chat_api.anonymous.get("/readyz").status == 200
    assert chat_api.say(ann, chat, "before").status == 201
    read_only(chat_api, "on")

    sent = [chat_api.say(ann, chat, "on a standby") for _ in range(8)]
    made = [ann.client.post("/groupchat", {"name": "x"}) for _ in range(3)]
    ready = [chat_api.anonymous.get("/readyz") for _ in range(3)]

    assert {(each.status, each.code) for each in sent + made} == {(503, "unavailable")}
    assert {each.status for each in ready} == {503}
    assert all(int(each.headers["retry-after"]) >= 1 for each in sent + made + ready)
    assert chat_api.anonymous.get("/healthz").status == 200
    name = chat_api.store.url.database
    run(chat_api, f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    # Each of the kept connections led to the standby, and has been closed.
    assert chat_api.say(ann, chat, "after").status == 201
    assert chat_api.anonymous.get("/readyz").status == 200
