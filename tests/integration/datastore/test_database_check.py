"""Databases that cannot be used are told in one line, with what helps."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from datastore import Datastore, database_check, migrations, schema_check
from datastore.database_check import DatabaseProblem, Unfit, Unreachable
from datastore.schema_check import NotMigrated
from tests.support import databases, mariadb

PASSWORD = "SeCReT-%40"


def problem_of(
    url: str, check: Callable[[Datastore], object] = migrations.bring_up_to_date
) -> DatabaseProblem:
    """The problem of a database; it is one line and shows no password."""
    store = Datastore(url)
    try:
        with pytest.raises(DatabaseProblem) as caught:
            check(store)
    finally:
        store.close()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "SeCReT" not in message
    assert caught.value.__cause__ is None
    return caught.value


def run_sql(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def as_user(url: str, name: str) -> str:
    user = make_url(url).set(username=name, password="SeCReT-@")
    return user.render_as_string(hide_password=False)


@pytest.fixture
def role() -> str:
    """A user of PostgreSQL who owns nothing."""
    name = "somebody"
    url = databases.empty_url("postgresql", Path())
    run_sql(
        url,
        f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object"
        " THEN NULL; END $$",
    )
    return name


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("This is a letter, and not a database.\n" * 20)

    problem = problem_of(f"sqlite:///{tmp_path}/x.db")

    assert isinstance(problem, Unfit)
    assert "is not a database of SQLite: name another file" in str(problem)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/x.db", "nowhere is no directory"),
        ("", "is a directory, not a file"),
    ],
)
def test_a_file_that_cannot_be_opened(tmp_path: Path, path: str, words: str) -> None:
    problem = problem_of(f"sqlite:///{tmp_path}/{path}")

    assert isinstance(problem, Unreachable)
    assert words in str(problem)


@pytest.mark.parametrize("kind", [kind for kind in databases.KINDS if kind != "sqlite"])
def test_an_unknown_option(tmp_path: Path, kind: str) -> None:
    url = databases.empty_url(kind, tmp_path)
    joint = "&" if "?" in url else "?"

    problem = problem_of(f"{url}{joint}colour=blue&password={PASSWORD}")

    assert isinstance(problem, Unfit)
    assert "see the options behind the ?" in str(problem)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_postgresql_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"

    problem = problem_of(databases.empty_url("postgresql", tmp_path, options))

    assert isinstance(problem, Unfit)
    assert encoding in str(problem)
    assert "ENCODING 'UTF8'" in str(problem)


def test_a_connection_in_another_encoding(tmp_path: Path) -> None:
    url = databases.empty_url("postgresql", tmp_path) + "&client_encoding=latin1"

    problem = problem_of(url)

    assert isinstance(problem, Unfit)
    assert "client_encoding=LATIN1" in str(problem)


@pytest.mark.parametrize("revoked", ["ALL", "CREATE"])
def test_no_right_on_the_schema(tmp_path: Path, role: str, revoked: str) -> None:
    url = databases.empty_url("postgresql", tmp_path)
    run_sql(url, f"REVOKE {revoked} ON SCHEMA public FROM public")

    problem = problem_of(as_user(url, role))

    assert isinstance(problem, Unfit)
    assert "CREATE ON SCHEMA" in str(problem)
    assert f'TO "{role}"' in str(problem)


def test_no_right_on_the_tables(tmp_path: Path, role: str) -> None:
    url = databases.fresh_url("postgresql", tmp_path)
    run_sql(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")

    problem = problem_of(as_user(url, role), database_check.require)

    assert isinstance(problem, Unfit)
    assert "GRANT ALL ON ALL TABLES" in str(problem)


def test_a_user_who_may_write_but_not_migrate_can_serve(
    tmp_path: Path, role: str
) -> None:
    url = databases.fresh_url("postgresql", tmp_path)
    run_sql(
        url,
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "REVOKE CREATE ON SCHEMA public FROM public",
    )
    store = Datastore(as_user(url, role))

    assert database_check.require(store) == schema_check.newest()
    assert migrations.bring_up_to_date(store).after == schema_check.newest()
    store.close()


def test_an_unknown_database_and_a_server_that_is_down(tmp_path: Path) -> None:
    url = make_url(databases.empty_url("postgresql", tmp_path))
    texts = [
        as_user(url.set(database="nowhere").render_as_string(False), "postgres"),
        f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/x?connect_timeout=2",
    ]

    problems = [problem_of(each) for each in texts]

    assert all(isinstance(problem, Unreachable) for problem in problems)
    assert '"nowhere" does not exist' in str(problems[0])
    assert "refused" in str(problems[1])


@pytest.mark.parametrize("kind", databases.KINDS)
def test_the_tables_of_another_application(tmp_path: Path, kind: str) -> None:
    url = databases.empty_url(kind, tmp_path)
    run_sql(
        url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('8f3c2b1a9d7e')",
    )

    problem = problem_of(url)

    assert isinstance(problem, Unfit)
    assert "another application" in str(problem)


@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_newer_schema_is_used_and_left_alone(tmp_path: Path, kind: str) -> None:
    """While an update is rolled out, old processes work on the new tables."""
    store = Datastore(databases.fresh_url(kind, tmp_path))
    with store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    done = migrations.bring_up_to_date(store)

    assert done == ("9999", "9999")
    assert "9999" in (database_check.warning(database_check.require(store)) or "")
    assert database_check.warning(schema_check.newest()) is None
    store.close()


@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_schema_that_is_not_there_or_too_old(tmp_path: Path, kind: str) -> None:
    store = Datastore(databases.empty_url(kind, tmp_path))
    with pytest.raises(NotMigrated, match="is missing: run `bottlepost migrate`"):
        database_check.require(store)
    migrations.upgrade(store)
    with store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    with pytest.raises(
        NotMigrated, match=r"is old \(0001, .* run `bottlepost migrate`"
    ):
        database_check.require(store)
    store.close()


@pytest.mark.parametrize("kind", databases.KINDS)
def test_missing_tables_and_columns_are_recognized(tmp_path: Path, kind: str) -> None:
    store = Datastore(databases.fresh_url(kind, tmp_path))

    for sql in ("SELECT 1 FROM no_table", "SELECT no_column FROM chat"):
        with pytest.raises(DBAPIError) as caught, store.read() as session:
            session.execute(text(sql))
        assert schema_check.is_missing(caught.value)
    with pytest.raises(DBAPIError) as caught, store.read() as session:
        session.execute(text("SELECT FROM WHERE"))
    assert not schema_check.is_missing(caught.value)
    store.close()


def test_the_newest_revision_is_that_of_the_migrations(tmp_path: Path) -> None:
    store = Datastore(databases.empty_url("sqlite", tmp_path))

    assert migrations.upgrade(store) == (None, schema_check.newest())

    with store.read() as session:
        stored = session.scalar(text("SELECT version_num FROM alembic_version"))
    assert stored == schema_check.newest()
    store.close()


@pytest.mark.mariadb
@pytest.mark.skipif(not mariadb.is_wanted(), reason="only for make test-mariadb")
class TestMariaDB:
    def test_a_database_in_utf8mb3_is_changed(self, tmp_path: Path) -> None:
        store = Datastore(
            databases.empty_url("mariadb", tmp_path, "CHARACTER SET utf8mb3")
        )

        migrations.bring_up_to_date(store)

        assert database_check.require(store) == schema_check.newest()
        store.close()

    def test_tables_in_utf8mb3_are_refused(self, tmp_path: Path) -> None:
        url = databases.fresh_url("mariadb", tmp_path)
        run_sql(url, "ALTER TABLE message MODIFY text TEXT CHARACTER SET utf8mb3")

        problem = problem_of(url, database_check.require)

        assert isinstance(problem, Unfit)
        assert "tables in utf8mb3" in str(problem)

    def test_a_connection_in_utf8mb3_is_refused(self, tmp_path: Path) -> None:
        url = databases.empty_url("mariadb", tmp_path) + "&charset=utf8"

        assert "charset=utf8" in str(problem_of(url))
