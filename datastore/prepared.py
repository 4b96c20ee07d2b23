"""Statements of hot paths: compiled once, and run by the driver's own cursor.

SQLAlchemy compiles them and converts their values, so no SQL is written by hand. Its
own way to run a statement takes 50 µs, and SQLite needs 3 µs for the statement itself.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Insert, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from datastore import outages

Convert = Callable[[Any], Any]
Row = tuple[Any, ...]

# How to read the result of a cursor.
_FIRST = methodcaller("fetchone")
_ALL = methodcaller("fetchall")


class Link(NamedTuple):
    """The driver's connection, and the dialect that it speaks."""

    driver: Any
    dialect: Dialect
    # Called with the error when the server has closed the connection.
    invalidate: Callable[[BaseException], None]


def link_to(connection: Connection) -> Link:
    driver: Any = connection.connection.dbapi_connection
    return Link(driver, connection.dialect, connection.invalidate)


def link_of(session: Session) -> Link:
    """The link of the session's transaction; `Datastore.write` has it at hand."""
    link = session.info.get(Link)
    return link_to(session.connection()) if link is None else link


class Prepared:
    """A statement with named parameters; None is always the database's NULL.

    Each run gives the same names. For an INSERT these are the columns that it sets; it
    sets others to their constant defaults. With `picks`, a run may give more names than
    the statement has.
    """

    def __init__(self, statement: Any, *, picks: bool = False) -> None:
        self._statement = statement
        self._picks = picks
        # A process may use several databases; each dialect has its own SQL.
        self._compiled: dict[Dialect, _Compiled] = {}

    def first(self, link: Link, values: Mapping[str, Any]) -> Row | None:
        """The first row of the result."""
        compiled, row = self._fetch(link, values, _FIRST)
        return None if row is None else compiled.row(row)

    def all(self, link: Link, values: Mapping[str, Any]) -> list[Row]:
        """All rows of the result."""
        compiled, rows = self._fetch(link, values, _ALL)
        return [compiled.row(row) for row in rows]

    def one(self, link: Link, values: Mapping[str, Any]) -> Row:
        """The only row, of a statement that always has one."""
        row = self.first(link, values)
        assert row is not None  # noqa: S101 - see above
        return row

    def count(self, link: Link, values: Mapping[str, Any]) -> int:
        """Run it; returns the number of changed rows."""
        _, cursor = self._run(link, values)
        changed: int = cursor.rowcount
        cursor.close()
        return changed

    def each(self, link: Link, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each of several rows of values, in one round trip."""
        if rows:
            self._run(link, rows[0], rows)[1].close()

    def _fetch(
        self, link: Link, values: Mapping[str, Any], fetch: Callable[[Any], Any]
    ) -> "tuple[_Compiled, Any]":
        compiled, cursor = self._run(link, values)
        try:
            return compiled, fetch(cursor)
        except link.dialect.loaded_dbapi.Error as problem:
            raise _wrapped(link, problem, compiled.sql) from problem
        finally:
            cursor.close()

    def compiled(self, dialect: Dialect, values: Mapping[str, Any]) -> "_Compiled":
        compiled = self._compiled.get(dialect)
        if compiled is None:
            compiled = _Compiled(self._statement, list(values), dialect)
            self._compiled[dialect] = compiled
        if not self._picks:
            compiled.check(values)
        return compiled

    def _run(
        self,
        link: Link,
        values: Mapping[str, Any],
        rows: Sequence[Mapping[str, Any]] | None = None,
    ) -> "tuple[_Compiled, Any]":
        compiled = self.compiled(link.dialect, values)
        cursor = link.driver.cursor()
        try:
            if rows is None:
                cursor.execute(compiled.sql, compiled.parameters(values))
            else:
                cursor.executemany(compiled.sql, list(map(compiled.parameters, rows)))
        except link.dialect.loaded_dbapi.Error as problem:
            cursor.close()
            raise _wrapped(link, problem, compiled.sql) from problem
        return compiled, cursor


def run_plain(link: Link, sql: str) -> None:
    """Run SQL without parameters and results, which may be several statements."""
    try:
        link.driver.execute(sql)
    except link.dialect.loaded_dbapi.Error as problem:
        raise _wrapped(link, problem, sql) from problem


Run = tuple[Prepared, Mapping[str, Any]]


def first_of_each(
    link: Link, runs: Sequence[Run], *, pipelined: bool = True
) -> list[Row | None]:
    """The first row of each statement; they share one transaction.

    Only for a link of psycopg that is in none. A pipeline is one round trip.
    """
    found: list[tuple[_Compiled, Any]] = []
    driver = link.driver
    try:
        # The end of a pipeline commits, if every statement has succeeded.
        with driver.pipeline() if pipelined else driver.transaction():
            for prepared, values in runs:
                compiled = prepared.compiled(link.dialect, values)
                cursor = driver.cursor()
                cursor.execute(compiled.sql, compiled.parameters(values))
                found.append((compiled, cursor))
    except link.dialect.loaded_dbapi.Error as problem:
        if not driver.closed and driver.info.transaction_status:
            # The commit at the end of a pipeline has failed, and the driver has lost
            # count of the answers.
            link.invalidate(problem)
        reason = _first_of(problem)
        raise _wrapped(link, reason, f"{len(runs)} statements") from problem
    except IndexError as problem:
        # The same, and by now it has lost the server's error.
        link.invalidate(problem)
        raise outages.as_outage(problem, f"{len(runs)} statements") from problem
    rows = [(compiled, cursor.fetchone()) for compiled, cursor in found]
    return [None if row is None else compiled.row(row) for compiled, row in rows]


def _first_of(problem: Exception) -> Exception:
    """The server's error, where the driver could not end its pipeline after it."""
    before = problem.__context__
    is_later = getattr(problem, "sqlstate", None) is None
    if is_later and isinstance(before, Exception) and hasattr(before, "sqlstate"):
        return _first_of(before)
    return problem


class PreparedInsert(Prepared):
    """An INSERT of one row into a table with an integer `id`.

    The database computes the columns that are given here as expressions.
    """

    def __init__(self, model: Any, **computed: Any) -> None:
        statement = insert(model).values(computed) if computed else insert(model)
        super().__init__(statement)
        self._returning = Prepared(statement.returning(model.id))

    def new_id(self, link: Link, values: Mapping[str, Any]) -> int:
        """Insert the row; returns its id."""
        if link.dialect.name != "sqlite":
            found: int = self._returning.one(link, values)[0]
            return found
        # SQLite knows it anyway, and RETURNING costs it a temporary table.
        _, cursor = self._run(link, values)
        row_id: int = cursor.lastrowid
        cursor.close()
        return row_id


class _Compiled:
    """A statement in the SQL of one dialect."""

    def __init__(self, statement: Any, names: Sequence[str], dialect: Dialect) -> None:
        columns = None
        if isinstance(statement, Insert):
            # The other names are parameters of expressions.
            columns = [name for name in names if name in statement.table.columns]
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        self.sql = str(compiled)
        self._is_positional = bool(compiled.positional)
        binds = compiled.binds
        to_driver = {name: _to_driver(bind, dialect) for name, bind in binds.items()}
        fixed = {name: bind.value for name, bind in binds.items() if not bind.required}
        fixed |= {column.key: column.default.arg for column in compiled.insert_prefetch}
        self._fixed = {name: _put(fixed[name], to_driver[name]) for name in fixed}
        to_driver |= dict.fromkeys(fixed)
        self._given = len(binds) - len(fixed)
        self._parameters = [
            (name, to_driver[name]) for name in compiled.positiontup or binds
        ]
        self._from_driver = [
            (position, convert)
            for position, column in enumerate(statement.exported_columns)
            if (convert := _from_driver(column, dialect)) is not None
        ]

    def check(self, values: Mapping[str, Any]) -> None:
        if len(values) != self._given:
            raise TypeError(f"{self._given} values are needed: {self.sql}")

    def parameters(self, values: Mapping[str, Any]) -> Any:
        if self._fixed:
            values = {**self._fixed, **values}
        if self._is_positional:
            return [
                value
                if (value := values[name]) is None or convert is None
                else convert(value)
                for name, convert in self._parameters
            ]
        return {
            name: value
            if (value := values[name]) is None or convert is None
            else convert(value)
            for name, convert in self._parameters
        }

    def row(self, found: Row) -> Row:
        """The row of the driver with the values of the columns' types."""
        if not self._from_driver:
            return found
        values = list(found)
        for position, convert in self._from_driver:
            values[position] = convert(values[position])
        return tuple(values)


def _put(value: Any, convert: Convert | None) -> Any:
    return value if convert is None or value is None else convert(value)


def _to_driver(bind: Any, dialect: Dialect) -> Convert | None:
    convert: Convert | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
    return convert


def _from_driver(column: Any, dialect: Dialect) -> Convert | None:
    kind = column.type.dialect_impl(dialect)
    convert: Convert | None = kind.result_processor(dialect, None)
    return convert


def _wrapped(link: Link, problem: Exception, sql: str) -> DBAPIError:
    """The exception as SQLAlchemy raises it, without the values."""
    dialect = link.dialect
    is_lost = outages.is_lost(problem)
    has_ended = is_lost or dialect.is_disconnect(problem, link.driver, None)  # type: ignore[arg-type]
    if has_ended:
        link.invalidate(problem)
    if is_lost:
        return outages.as_outage(problem, sql)
    found = DBAPIError.instance(
        sql,
        None,
        problem,
        dialect.loaded_dbapi.Error,
        connection_invalidated=has_ended,
        dialect=dialect,
    )
    assert isinstance(found, DBAPIError)  # noqa: S101 - it is an error of the driver
    return found
