"""Settings and a migration lock that only MariaDB needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from sqlalchemy import Dialect, event, inspect, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session

from datastore import timeouts
from datastore.timeouts import Timeouts

# Its default, REPEATABLE READ, locks gaps between rows: claims of several hosts would
# deadlock with sends.
ISOLATION = "READ COMMITTED"
MIGRATION_LOCK = "bottlepost_migrations"
LOCK_WAIT_S = 600
# A table that exists while a migration runs, or after it was killed.
UNFINISHED = "unfinished_migration"
# Errors of a step that has been done: what it makes is there (a table, a column, a key
# or index, a row, a foreign key), or what it removes or reads is gone.
DONE_BEFORE = {1050, 1060, 1061, 1062, 1068, 1826, 1005, 1051, 1091, 1054}
# As the standard has it, an UPDATE computes all columns from the row as it was. Without
# this mode, MariaDB sets one after another: a lease would compare its owner with the
# name that it has just set, and count no claim.
SQL_MODE = "SIMULTANEOUS_ASSIGNMENT"
# A transaction that waits for a lock is tried again, so this is a part of the limit.
LOCK_WAITS = 3
# The longest statement of a migration or an import. The driver cannot check meanwhile
# that the server still answers.
PATIENT_S = 3600


def is_meant(url: URL) -> bool:
    return url.get_backend_name() in ("mysql", "mariadb")


def is_spoken(dialect: Dialect) -> bool:
    return dialect.name in ("mysql", "mariadb")


def options(url: URL, limits: Timeouts) -> dict[str, Any]:
    """The options of an engine."""
    arguments: dict[str, Any] = {"connect_timeout": timeouts.CONNECT_S}
    # The driver knows only whole seconds.
    answer_s = PATIENT_S if limits.is_patient else ceil(limits.answer_s)
    arguments["read_timeout"] = arguments["write_timeout"] = answer_s
    return {
        "isolation_level": ISOLATION,
        "connect_args": timeouts.unless_given(arguments, url.query),
        "pool_timeout": limits.statement_s,
    }


def prepare(engine: Engine, limits: Timeouts) -> None:
    """Limit the statements of every connection on the server, too; set its mode."""
    lock_s = max(1, int(limits.statement_s / LOCK_WAITS))
    statement_s = limits.server_s or 0
    # MySQL skips what is in such a comment.
    command = (
        f"SET SESSION innodb_lock_wait_timeout = {lock_s}"
        f" /*M!100101 , max_statement_time = {statement_s} */"
        f" /*M!100300 , idle_transaction_timeout = {ceil(limits.idle_s)}"
        f" , sql_mode = CONCAT(@@sql_mode, ',{SQL_MODE}') */"
    )

    def on_connect(driver: Any, _record: Any) -> None:
        cursor = driver.cursor()
        cursor.execute(command)
        cursor.close()

    event.listen(engine, "connect", on_connect)


@contextmanager
def migrating(session: Session) -> Iterator[None]:
    """Holds the lock of migrations; MariaDB commits each change of the schema at once.

    So a migration that was killed is half done, and this block repeats it: it passes
    over the steps that had been done. Tables that are created here store every
    character and compare `a` and `A` as different, which the server's defaults may not
    do.
    """
    name = {"name": MIGRATION_LOCK, "wait_s": LOCK_WAIT_S}
    if not session.scalar(text("SELECT GET_LOCK(:name, :wait_s)"), name):
        raise TimeoutError(f"another process migrates since {LOCK_WAIT_S} s")
    try:
        connection = session.connection()
        with _passing_over(
            connection.engine, inspect(connection).has_table(UNFINISHED)
        ):
            session.execute(
                text(f"CREATE TABLE IF NOT EXISTS {UNFINISHED} (id INTEGER)")
            )
            session.execute(
                text("ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
            )
            yield
        session.execute(text(f"DROP TABLE {UNFINISHED}"))
    finally:
        session.execute(text("SELECT RELEASE_LOCK(:name)"), name)


@contextmanager
def _passing_over(engine: Engine, is_repeated: bool) -> Iterator[None]:
    """Nothing is passed over in a first run, so that it never takes foreign tables."""
    if not is_repeated:
        yield
        return
    event.listen(engine, "do_execute", _execute)
    event.listen(engine, "do_executemany", _executemany)
    try:
        yield
    finally:
        event.remove(engine, "do_execute", _execute)
        event.remove(engine, "do_executemany", _executemany)


def _execute(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
    try:
        cursor.execute(statement, parameters)
    except Exception as problem:
        if problem.args[:1] and problem.args[0] in DONE_BEFORE:
            # An empty result, for a step that reads.
            cursor.execute("SELECT 1 FROM DUAL WHERE FALSE")
            return True
        raise
    return True


def _executemany(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
    for each in parameters:
        _execute(cursor, statement, each, _context)
    return True
