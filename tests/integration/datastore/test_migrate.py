"""`bottlepost migrate`: what it tells, several at once, and after a kill."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect, text
from sqlalchemy.engine import Engine

from datastore import Datastore, migrations, schema_check
from models.base import Base
from tests.support import databases, lock_holder, mariadb
from tests.support.server import ROOT

NEWEST = schema_check.newest()
AT_ONCE = 3
# Of the statements at which a migration is killed; each test has others.
STEP = 5


def start(url: str, run_dir: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bottlepost", *(arguments or ("migrate",))],
        cwd=ROOT,
        env={
            **os.environ,
            "BOTTLEPOST_DATABASE_URL": url,
            "BOTTLEPOST_RUN_DIR": str(run_dir),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out.strip(), err.strip()


def differences(url: str) -> list[Any]:
    store = Datastore(url)
    with store.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    store.close()
    return list(found)


@pytest.mark.parametrize("kind", databases.KINDS)
def test_one_of_several_at_once_migrates(tmp_path: Path, kind: str) -> None:
    url = databases.empty_url(kind, tmp_path)

    results = [ended(each) for each in [start(url, tmp_path) for _ in range(AT_ONCE)]]

    assert [status for status, *_ in results] == [0] * AT_ONCE
    # Only the one that has changed something says so in the log.
    told = [err for *_, err in results if err]
    assert len(told) == 1
    assert told[0].endswith(f" before=empty after={NEWEST}")
    assert sorted(out for _, out, _ in results) == [
        *[f"the database is up to date: {NEWEST}"] * (AT_ONCE - 1),
        f"the database was migrated from empty to {NEWEST}",
    ]
    assert differences(url) == []


def test_it_tells_where_it_began(tmp_path: Path) -> None:
    url = databases.fresh_url("sqlite", tmp_path)
    store = Datastore(url)
    with store.write() as session:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "0003")
    store.close()

    status, out, err = ended(start(url, tmp_path))

    assert (status, out) == (0, f"the database was migrated from 0003 to {NEWEST}")
    assert err.endswith(f" before=0003 after={NEWEST}")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("prune", "--days", "30"), 1),
        (("partition",), 1),
        (("worker", "script", "1"), 1),
        (("worker", "manager", "start"), 1),
    ],
)
def test_commands_say_that_there_are_no_tables(
    tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    url = databases.empty_url("sqlite", tmp_path)
    os.environ["BOTTLEPOST_MANAGER_AUTHKEY"] = "the tests' own authkey"
    try:
        found, said, told = ended(start(url, tmp_path, *arguments))
    finally:
        del os.environ["BOTTLEPOST_MANAGER_AUTHKEY"]

    assert (found, said) == (status, "")
    # A worker tells its settings first.
    assert told.splitlines()[-1] == (
        "bottlepost: BOTTLEPOST_DATABASE_URL: The schema is missing:"
        " run `bottlepost migrate`"
    )
    assert "Traceback" not in told


@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_check_changes_nothing_and_tells_what_is_missing(
    tmp_path: Path, kind: str
) -> None:
    url = databases.empty_url(kind, tmp_path)

    status, out, err = ended(start(url, tmp_path, "migrate", "--check", "--json"))

    found = json.loads(out)
    assert (status, err, found["found"]) == (1, "", None)
    assert [each["revision"] for each in found["missing"]][-1] == NEWEST
    store = Datastore(url)
    assert inspect(store.engine).get_table_names() == []
    migrations.upgrade(store)
    store.close()
    assert ended(start(url, tmp_path, "migrate", "--check")) == (
        0,
        f"the database is up to date: {NEWEST}",
        "",
    )


def test_progress_is_told_after_each_migration(tmp_path: Path) -> None:
    store = Datastore(databases.empty_url("sqlite", tmp_path))
    told: list[str] = []

    migrations.upgrade(store, told.append)

    store.close()
    assert told == [each.revision for each in schema_check.missing(None)]


class Killed(BaseException):
    """The process ends here; not an Exception, so nobody tidies up."""


@contextmanager
def killed_after(statements: int) -> Iterator[None]:
    """Cut any connection after so many statements, as a SIGKILL would."""
    count = 0

    def cut(connection: Any, *_: Any) -> None:
        nonlocal count
        count += 1
        if count > statements:
            connection.connection.driver_connection.close()
            raise Killed

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        yield
    except (Killed, Exception):
        pass
    finally:
        event.remove(Engine, "before_cursor_execute", cut)


ROWS = (
    """INSERT INTO user (id, name, created_at) VALUES (1, 'u', CURRENT_TIMESTAMP)""",
    """INSERT INTO chat (id, name, last_seq, created_at) VALUES
        (1, 'c', 4, CURRENT_TIMESTAMP)""",
    """INSERT INTO message
        (id, chat_id, seq, sender_id, text, silent, created_at, deleted_at) VALUES
        (1, 1, 1, 1, 't', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP),
        (2, 1, 2, 1, 't', false, CURRENT_TIMESTAMP, NULL)""",
    """INSERT INTO push_job (id, chat_id, message_id, kind, state, ordering_key, due_at,
        cursor_user, cursor_device, fanned_out, accepted, failed, attempts,
        created_at, expires_at) VALUES
        (1, 1, 1, 'message', 'queued', 1, CURRENT_TIMESTAMP, 0, 0, false, 0, 0, 0,
         CURRENT_TIMESTAMP, CURRENT_TIMESTAMP),
        (2, 1, 2, 'message', 'queued', 1, CURRENT_TIMESTAMP, 0, 0, false, 0, 0, 0,
         CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)""",
)


def migrate_to_first(store: Datastore) -> None:
    with store.write() as session:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0001")


@pytest.mark.mariadb
@pytest.mark.skipif(not mariadb.is_wanted(), reason="only for make test-mariadb")
@pytest.mark.parametrize("has_rows", [False, True])
@pytest.mark.parametrize("first", range(1, 1 + STEP))
def test_a_killed_migration_of_mariadb_is_taken_up(
    tmp_path: Path, first: int, has_rows: bool
) -> None:
    """MariaDB cannot undo a migration; it is killed at each of its statements."""
    statements = first - STEP
    was_killed = True
    while was_killed:
        statements += STEP
        url = databases.empty_url("mariadb", tmp_path)
        store = Datastore(url)
        if has_rows:
            migrate_to_first(store)
            with store.write() as session:
                for row in ROWS:
                    session.execute(text(row))
        was_killed = True
        with killed_after(statements):
            migrations.upgrade(store)
            was_killed = False
        store.close()

        store = Datastore(url)
        assert migrations.upgrade(store).after == NEWEST, statements
        assert not inspect(store.engine).has_table("unfinished_migration")
        if has_rows:
            with store.read() as session:
                jobs = session.execute(
                    text("SELECT waits_for, due_at IS NULL FROM push_job ORDER BY id")
                ).all()
                uncounted = session.execute(
                    text("SELECT seq, nth FROM uncounted")
                ).all()
            assert [tuple(job) for job in jobs] == [(None, 0), (1, 1)], statements
            assert [tuple(row) for row in uncounted] == [(1, 1)], statements
        store.close()
        assert differences(url) == [], statements
    assert statements > 4 * STEP


def test_what_is_up_to_date_waits_for_no_writer(tmp_path: Path) -> None:
    url = databases.fresh_url("sqlite", tmp_path)

    with lock_holder.stopped(url):
        found = ended(start(url, tmp_path))

    assert found[0] == 0
    assert "up to date" in found[1]
