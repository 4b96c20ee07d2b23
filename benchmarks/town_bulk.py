"""What makes filling a new database fast, on PostgreSQL and on SQLite.

Both drop what would be kept up to date row by row, and build it at the end. While a
database is being filled, neither a crash nor a second user is provided for.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import make_url

TABLES = ("user", "device", "chat", "member", "message", "push_job")
SQLITE_CACHE_MIB = 2048


class Bulk(ABC):
    """A connection to a database that is being filled; each statement commits."""

    # SQL of a time, given in seconds after the town's first day.
    moment: str
    # SQL of the SHA-256 of a text, in hexadecimal.
    digest: str

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, sql: str, **values: Any) -> int:
        """Execute a statement; returns the number of its rows."""
        return self.connection.execute(text(sql), values).rowcount

    def all(self, sql: str, **values: Any) -> list[Any]:
        return list(self.connection.execute(text(sql), values))

    @abstractmethod
    def prepare(self) -> None:
        """Drop the indexes and keys."""

    @abstractmethod
    def finish(self) -> Iterator[str]:
        """Build them; yields the name of each step before it is done."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """The bytes of each table, with its indexes."""


class PostgresBulk(Bulk):
    """Also updates the statistics and the visibility map, as autovacuum would."""

    moment = "timestamptz '2026-01-01 00:00:00Z' + {} * interval '1 second'"
    digest = "encode(sha256(convert_to({}, 'UTF8')), 'hex')"

    def prepare(self) -> None:
        for setting in (
            "synchronous_commit = off",
            "maintenance_work_mem = '1GB'",
            "work_mem = '256MB'",
            "jit = off",
        ):
            self.run(f"SET {setting}")
        self._rebuild = [
            *self._drop_constraints("f"),
            *self._drop_indexes(),
            *self._drop_constraints("pu"),
        ][::-1]

    def _drop_constraints(self, kinds: str) -> list[tuple[str, str]]:
        found = self.all(
            "SELECT conrelid::regclass::text, quote_ident(conname),"
            " pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype::text = ANY(:kinds)"
            " AND (conrelid = ANY(CAST(:tables AS regclass[]))"
            " OR confrelid = ANY(CAST(:tables AS regclass[])))",
            kinds=list(kinds),
            tables=[f'"{name}"' for name in TABLES],
        )
        for table, name, _ in found:
            self.run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        return [
            (name, f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
            for table, name, definition in found
        ]

    def _drop_indexes(self) -> list[tuple[str, str]]:
        found = self.all(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = current_schema() AND tablename = ANY(:tables)"
            " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
            tables=list(TABLES),
        )
        for name, _ in found:
            self.run(f'DROP INDEX "{name}"')
        return [(name, definition) for name, definition in found]

    def finish(self) -> Iterator[str]:
        for name, statement in self._rebuild:
            yield name
            self.run(statement)
        for table in TABLES:
            yield f"vacuum of {table}"
            self.run(f'VACUUM (ANALYZE) "{table}"')
            self.run(
                f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'),"
                f' (SELECT 1 + coalesce(max(id), 0) FROM "{table}"))'
                if table != "member"
                else "SELECT 1"
            )
        self.run("CHECKPOINT")

    def sizes(self) -> dict[str, int]:
        sql = "SELECT pg_total_relation_size(CAST(:name AS regclass))"
        return {name: self.all(sql, name=f'"{name}"')[0][0] for name in TABLES}


class SqliteBulk(Bulk):
    """Without a journal; the file is lost if the filling does not end."""

    moment = "strftime('%Y-%m-%d %H:%M:%S.000000', {} + 1767225600, 'unixepoch')"
    digest = "sha256_hex({})"

    def prepare(self) -> None:
        found = self.all(
            "SELECT name, sql FROM sqlite_master"
            " WHERE type = 'index' AND sql IS NOT NULL"
        )
        self._rebuild = [(name, sql) for name, sql in found]
        for name, _ in found:
            self.run(f'DROP INDEX "{name}"')

    def finish(self) -> Iterator[str]:
        for name, sql in self._rebuild:
            yield name
            self.run(sql)
        yield "write-ahead log"
        self.run("PRAGMA locking_mode = NORMAL")
        self.run("PRAGMA journal_mode = WAL")

    def sizes(self) -> dict[str, int]:
        # Pages, because `pgsize` is too small a number for gigabytes.
        found = self.all(
            "SELECT m.tbl_name, sum(s.pageno) FROM dbstat s"
            " JOIN sqlite_master m ON m.name = s.name"
            " WHERE s.aggregate = TRUE GROUP BY m.tbl_name"
        )
        page_size = self.all("PRAGMA page_size")[0][0]
        return {name: pages * page_size for name, pages in found if name in TABLES}


def _throw_caution_away(raw: Any, _record: Any) -> None:
    raw.create_function("sha256_hex", 1, _sha256_hex, deterministic=True)
    for pragma in (
        "locking_mode = EXCLUSIVE",
        "journal_mode = OFF",
        "synchronous = OFF",
        "foreign_keys = OFF",
        f"cache_size = -{SQLITE_CACHE_MIB * 1024}",
        "cache_spill = OFF",
        "temp_store = FILE",
    ):
        raw.execute(f"PRAGMA {pragma}")


def _sha256_hex(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


@contextmanager
def opened(address: str) -> Iterator[Bulk]:
    """The database for filling; it must be new and migrated."""
    url = make_url(address)
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise SystemExit("only SQLite and PostgreSQL can be filled")
    if kind == "sqlite" and not Path(str(url.database)).exists():
        raise SystemExit("the database does not exist; migrate it first")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    if kind == "sqlite":
        event.listen(engine, "connect", _throw_caution_away)
    try:
        with engine.connect() as connection:
            yield (SqliteBulk if kind == "sqlite" else PostgresBulk)(connection)
    finally:
        engine.dispose()
