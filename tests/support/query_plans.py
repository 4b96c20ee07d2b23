"""Reads the plans that a database makes for statements."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import event

from datastore import Datastore, mariadb
from datastore.prepared import _Compiled


def plan_of(store: Datastore, work: Callable[[], object], about: str) -> list[str]:
    """The plans of all statements that `work` executes and that contain `about`."""
    return [
        line
        for sql, parameters in statements_of(store, work)
        if about in sql
        for line in _explain(store, sql, parameters)
    ]


def statements_of(store: Datastore, work: Callable[[], object]) -> list[Any]:
    found: list[Any] = []

    def keep(_c: Any, _cur: Any, sql: str, parameters: Any, *_rest: Any) -> None:
        found.append((sql, parameters))

    def parameters_of(self: _Compiled, values: Mapping[str, Any]) -> Any:
        parameters = original(self, values)
        as_sequence = isinstance(parameters, list)
        found.append((self.sql, tuple(parameters) if as_sequence else parameters))
        return parameters

    # Prepared statements do not pass through SQLAlchemy's events.
    original = _Compiled.parameters
    _Compiled.parameters = parameters_of  # type: ignore[method-assign]
    event.listen(store.engine, "before_cursor_execute", keep)
    try:
        work()
    finally:
        event.remove(store.engine, "before_cursor_execute", keep)
        _Compiled.parameters = original  # type: ignore[method-assign]
    return found


def analyze(store: Datastore, *tables: str) -> None:
    """Update the statistics, as the database itself does from time to time."""
    if store.is_sqlite:
        return
    is_mariadb = mariadb.is_meant(store.url)
    with store.read() as session:
        raw = session.connection().exec_driver_sql
        raw(f"ANALYZE TABLE {', '.join(tables)}" if is_mariadb else "ANALYZE")
        session.commit()


def _explain(store: Datastore, sql: str, parameters: Any) -> list[str]:
    if isinstance(parameters, list) and parameters:
        # A statement for many rows.
        parameters = parameters[0]
    how = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
    with store.read() as session:
        rows = session.connection().exec_driver_sql(f"{how} {sql}", parameters).all()
    # MariaDB describes a table in many columns.
    whole = mariadb.is_meant(store.url)
    return [" ".join(map(str, row if whole else row[-1:])) for row in rows]
