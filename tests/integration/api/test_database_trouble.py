"""A database server that fails over, undoes transactions, or is read-only."""

import pytest
from sqlalchemy import create_engine, text

from tests.support import databases, mariadb
from tests.support.chat_api import ChatApi, User

on_postgresql = pytest.mark.parametrize("kind", ["postgresql"], indirect=True)

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


@on_postgresql
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


TROUBLE_OF_MARIADB = """
    CREATE TRIGGER trouble AFTER UPDATE ON chat FOR EACH ROW
    IF NEXTVAL(troubles) <= {times} THEN
        SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number};
    END IF
"""


@pytest.mark.parametrize("kind", databases.MARIADB, indirect=True)
@pytest.mark.skipif(not mariadb.is_wanted(), reason="only for make test-mariadb")
@pytest.mark.parametrize(("number", "state"), [(1213, "40001"), (1205, "HY000")])
@pytest.mark.parametrize(("times", "statuses"), [(2, (201, 200)), (99, (503, 503))])
def test_mariadb_undoes_a_transaction(
    chat_api: ChatApi,
    ann: User,
    chat: int,
    number: int,
    state: str,
    times: int,
    statuses: tuple[int, int],
) -> None:
    with chat_api.store.write() as session:
        # A sequence keeps its value when its transaction is undone.
        session.execute(text("CREATE SEQUENCE troubles"))
        trouble = {"number": number, "state": state, "times": times}
        session.execute(text(TROUBLE_OF_MARIADB.format(**trouble)))

    sent = chat_api.say(ann, chat, "hello")
    with chat_api.store.write() as session:
        session.execute(text("ALTER SEQUENCE troubles RESTART"))
    renamed = ann.client.patch(f"/groupchat/{chat}", {"name": "New"})

    assert (sent.status, renamed.status) == statuses
    if sent.status == 503:
        assert sent.code == renamed.code == "unavailable"


def read_only(chat_api: ChatApi, state: str) -> None:
    """For new connections; the server ends the others, as a failover does."""
    name = chat_api.store.url.database
    run(
        chat_api,
        f"ALTER DATABASE {name} SET default_transaction_read_only = {state};"
        " SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


@on_postgresql
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
