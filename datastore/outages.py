"""Errors of a database server: which end a connection, and which may be retried."""

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

T = TypeVar("T")


class NotWritable(OSError):
    """Writes fail at present; the message is for everyone, so it names no address."""


class ReadOnly(NotWritable):
    """The database takes no writes: it is a standby, or set to read only."""


# Raised when the database does not answer. OperationalError also means a full disk, a
# lost lock or a missing table: in every case the request may succeed later, unchanged.
# OSError comes from the lock file of SQLite's writers.
OUTAGES = (OperationalError, InterfaceError, PoolTimeout, OSError)

# Of PostgreSQL's standby, and of MariaDB's in three ways.
_READ_ONLY_STATE = "25006"
_READ_ONLY_NUMBERS = frozenset({1290, 1792, 1836})
# PostgreSQL's SQLSTATEs after which a connection is of no use, though it may be open:
# it leads to a standby since a failover, an administrator or a crash ends it (57P01 to
# 57P05), or its transaction was idle for too long (25P03, 25P04).
_LOST_STATES = frozenset(
    {_READ_ONLY_STATE, "25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05"}
)
# The class of connection errors.
_LOST_CLASS = "08"
# MariaDB's: read-only, a shutdown, a killed connection.
_LOST_NUMBERS = _READ_ONLY_NUMBERS | {1053, 1927}
# The transaction was undone for the sake of another one: serialization, deadlock.
_UNDONE_STATES = frozenset({"40001", "40P01"})
# MariaDB's: deadlock, a lock that was waited for too long, and a row that another
# transaction has changed meanwhile.
_UNDONE_NUMBERS = frozenset({1213, 1205, 1020})

# The longest pauses before a transaction that was undone is tried again.
PAUSES_S = (0.01, 0.05, 0.2)


def is_lost(problem: BaseException | None) -> bool:
    """Whether the driver's error means that another connection is needed."""
    state, number = _codes(problem)
    return (
        state in _LOST_STATES
        or state.startswith(_LOST_CLASS)
        or number in _LOST_NUMBERS
    )


def is_read_only(problem: BaseException | None) -> bool:
    """Whether the database takes no writes."""
    state, number = _codes(problem)
    is_named = state == _READ_ONLY_STATE or number in _READ_ONLY_NUMBERS
    return is_named or isinstance(problem, ReadOnly)


def was_undone(problem: DBAPIError) -> bool:
    """Whether the same transaction, run again, is likely to succeed."""
    state, number = _codes(problem.orig)
    return state in _UNDONE_STATES or number in _UNDONE_NUMBERS


def retrying(work: Callable[[], T]) -> T:
    """Run `work`, which is a whole transaction, again if it was undone."""
    for pause_s in PAUSES_S:
        try:
            return work()
        except DBAPIError as problem:
            if not was_undone(problem):
                raise
        # Random, so that two transactions do not meet again.
        time.sleep(random.uniform(0, pause_s))
    return work()


def watch(engine: Engine) -> None:
    """Have an error that means a lost connection drop it, and count as an outage.

    The other connections of the pool are replaced as well: they lead to the same
    server.
    """

    def on_error(context: Any) -> DBAPIError | None:
        problem = context.original_exception
        if not is_lost(problem):
            return None
        context.is_disconnect = True
        if isinstance(context.sqlalchemy_exception, OUTAGES):
            return None
        # 25006 is an InternalError for the driver.
        return as_outage(problem, context.statement)

    event.listen(engine, "handle_error", on_error, retval=True)


def as_outage(problem: BaseException, sql: str | None) -> OperationalError:
    """The driver's error as SQLAlchemy's OperationalError, without the values."""
    return OperationalError(sql, None, problem, connection_invalidated=True)


def _codes(problem: BaseException | None) -> tuple[str, int]:
    """The SQLSTATE of the driver's error, or ""; and the number of PyMySQL's, or 0.

    Newer versions of PyMySQL tell a SQLSTATE, too, but often the general HY000.
    """
    state = getattr(problem, "sqlstate", None)
    arguments = getattr(problem, "args", ())
    # The errors of SQLite and psycopg have only a text.
    first = arguments[0] if arguments else 0
    return str(state or ""), first if isinstance(first, int) else 0
