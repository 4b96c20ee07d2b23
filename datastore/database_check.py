"""Whether a database can be used, checked at the start and told in one line.

Without this, an unfit database would be a traceback or an error of some later request.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from datastore import OUTAGES, Datastore, mariadb, schema_check
from datastore.schema_check import ForeignSchema, NotMigrated

# RETURNING.
OLDEST_SQLITE = (3, 35)
# plan_cache_mode.
OLDEST_POSTGRESQL = 12
# SKIP LOCKED.
OLDEST_MARIADB = (10, 6)
WAIT_S = 1.0
LONGEST_REASON = 300
# What a driver raises for options that it does not know, or cannot read.
_REFUSALS = (SQLAlchemyError, TypeError, ValueError, NotImplementedError)


class DatabaseProblem(Exception):
    """The database cannot be used; the message is one line without a password."""


class Unfit(DatabaseProblem):
    """This database will never do; the message follows the name of the variable."""


class Unreachable(DatabaseProblem):
    """The database does not answer, or not to us; it may do so later."""


def require_fit(store: Datastore, *, migrates: bool = False) -> None:
    """Raise Unfit or Unreachable unless the database can be used.

    With `migrates` it must also be possible to create tables.
    """
    try:
        with store.engine.connect() as connection:
            _require_fit(store, connection, migrates=migrates)
    except OUTAGES as problem:
        raise unreachable(store.url, problem) from None
    except ForeignSchema as problem:
        raise Unfit(str(problem)) from None
    except _REFUSALS as problem:
        raise Unfit(f"cannot be used: {_with_remedy(store.url, problem)}") from None


def require(store: Datastore) -> str:
    """The revision of the schema of a database that fits; or one of our exceptions."""
    require_fit(store)
    try:
        with store.engine.connect() as connection:
            return schema_check.require(connection)
    except OUTAGES as problem:
        raise unreachable(store.url, problem) from None


def revision(store: Datastore) -> str | None:
    """The revision of a database that fits; None is an empty one."""
    require_fit(store)
    try:
        with store.engine.connect() as connection:
            return schema_check.revision(connection)
    except OUTAGES as problem:
        raise unreachable(store.url, problem) from None


def wait_for(store: Datastore, tell: Callable[[str], None]) -> str:
    """Wait until the database can be used; returns the schema's revision.

    `tell` is called with each new reason to wait. Raises Unfit.
    """
    told = ""
    while True:
        try:
            return require(store)
        except (Unreachable, NotMigrated) as problem:
            if str(problem) != told:
                told = str(problem)
                tell(told)
        time.sleep(WAIT_S)


def warning(revision: str) -> str | None:
    """What to tell about a schema that is newer than this version."""
    if revision <= schema_check.newest():
        return None
    return (
        f"the database has the schema {revision}, and this version knows only"
        f" {schema_check.newest()}: update it soon"
    )


def unreachable(url: URL, problem: BaseException) -> Unreachable:
    why = _file_problem(url) or reason(url, problem)
    return Unreachable(f"the database cannot be used: {why}")


def reason(url: URL, problem: BaseException) -> str:
    """The driver's words in one line, without a password."""
    cause = (isinstance(problem, DBAPIError) and problem.orig) or problem
    # MariaDB's errors are a number and a text.
    words = " ".join(str(part) for part in cause.args) or type(cause).__name__
    line = " ".join(words.split())
    for secret in _secrets(url):
        line = line.replace(secret, "***")
    return line[:LONGEST_REASON]


def _with_remedy(url: URL, problem: BaseException) -> str:
    why = reason(url, problem)
    if "not a database" in why:
        return f"{url.database} is not a database of SQLite: name another file"
    if "bytes-like" in why:
        # SQLAlchemy itself fails: this encoding means that bytes stay as they are.
        return _other_encoding("SQL_ASCII")
    if isinstance(problem, TypeError) or "option" in why or "argument" in why:
        return f"{why} (see the options behind the ?)"
    return why


def _other_encoding(name: str) -> str:
    return (
        f"the encoding of the database is {name}; create one with"
        " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )


def _secrets(url: URL) -> list[str]:
    """Each password of the address, as it may be written; the longest first."""
    values = [url.password, url.query.get("password"), url.query.get("passwd")]
    plain = [str(value) for value in values if value]
    written = {form(each) for each in plain for form in (str, quote, quote_plus)}
    return sorted(written, key=len, reverse=True)


def _require_fit(store: Datastore, connection: Connection, *, migrates: bool) -> None:
    if store.is_sqlite:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            _refuse_version("SQLite", OLDEST_SQLITE, sqlite3.sqlite_version_info)
        # It is not looked at when a file is opened.
        connection.execute(text("SELECT count(*) FROM sqlite_schema"))
    found = schema_check.revision(connection)
    creates = migrates and (found is None or found < schema_check.newest())
    if store.is_postgresql:
        _check_postgresql(connection, creates=creates, has_tables=found is not None)
    if mariadb.is_meant(store.url):
        _check_mariadb(connection)


def _check_postgresql(
    connection: Connection, *, creates: bool, has_tables: bool
) -> None:
    version, server, client, schema, user, may_create = _row(
        connection,
        "SELECT current_setting('server_version_num')::int / 10000,"
        " current_setting('server_encoding'), current_setting('client_encoding'),"
        " current_schema(), current_user,"
        " has_schema_privilege(current_schema(), 'CREATE')",
    )
    if version < OLDEST_POSTGRESQL:
        _refuse_version("PostgreSQL", (OLDEST_POSTGRESQL,), (version,))
    if server != "UTF8":
        raise Unfit(f"cannot be used: {_other_encoding(server)}")
    if client != "UTF8":
        raise Unfit(f"asks for client_encoding={client}: it has to be utf8")
    if schema is None:
        raise Unfit(
            f"has no schema that {user} may use:"
            f' GRANT USAGE, CREATE ON SCHEMA public TO "{user}"'
        )
    if creates and not may_create:
        raise Unfit(
            f"has a schema in which {user} may not create tables:"
            f' GRANT CREATE ON SCHEMA "{schema}" TO "{user}"'
        )
    rights = "SELECT has_table_privilege('message', 'INSERT')"
    if has_tables and _row(connection, rights)[0] is False:
        raise Unfit(
            f"has tables that {user} may not write: GRANT ALL ON ALL TABLES IN SCHEMA"
            f' "{schema}" TO "{user}", and the same for ALL SEQUENCES'
        )


def _check_mariadb(connection: Connection) -> None:
    dialect: Any = connection.dialect
    version = tuple(dialect.server_version_info)
    if not dialect.is_mariadb:
        raise Unfit("leads to MySQL: MariaDB 10.6 or newer is needed")
    if version < OLDEST_MARIADB:
        _refuse_version("MariaDB", OLDEST_MARIADB, version)
    (client,) = _row(connection, "SELECT @@character_set_client")
    if client != "utf8mb4":
        raise Unfit(f"asks for charset={client}: it has to be utf8mb4")
    texts = connection.scalar(
        text(
            "SELECT character_set_name FROM information_schema.columns WHERE"
            " table_schema = DATABASE() AND table_name = 'message'"
            " AND column_name = 'text'"
        )
    )
    if texts not in (None, "utf8mb4"):
        raise Unfit(
            f"has tables in {texts}, which cannot store each character: ALTER TABLE …"
            " CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        )


def _row(connection: Connection, sql: str) -> Any:
    return connection.execute(text(sql)).one()


def _refuse_version(
    name: str, oldest: tuple[int, ...], version: tuple[int, ...]
) -> None:
    needed, found = (".".join(map(str, each[:3])) for each in (oldest, version))
    raise Unfit(f"leads to {name} {found}: {needed} or newer is needed")


def _file_problem(url: URL) -> str | None:
    """Why SQLite cannot open its file, which its own message does not say."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    path = Path(url.database)
    if not path.parent.is_dir():
        return f"{path.parent} is no directory"
    if path.is_dir():
        return f"{path} is a directory, not a file"
    for each in (path.parent, path):
        if each.exists() and not os.access(each, os.R_OK | os.W_OK):
            return f"{each} may not be read and written by this user"
    return None
