"""How a database goes about a statement, told by itself."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from datastore import Datastore, mariadb


def plan_of(store: Datastore, errand: Callable[[], object], about: str) -> list[str]:
    """The plans of those statements of the errand that name `about`, as sent."""
    return [
        line
        for sql, parameters in _statements(store, errand)
        if about in sql
        for line in _explain(store, sql, parameters)
    ]


def _statements(store: Datastore, errand: Callable[[], object]) -> list[Any]:
    found: list[Any] = []

    def keep(_c: Any, _cur: Any, sql: str, parameters: Any, *_rest: Any) -> None:
        found.append((sql, parameters))

    event.listen(store.engine, "before_cursor_execute", keep)
    try:
        errand()
    finally:
        event.remove(store.engine, "before_cursor_execute", keep)
    return found


def analyze(store: Datastore, *tables: str) -> None:
    """Have the database count its rows, as it does by itself sooner or later."""
    if store.is_sqlite:
        return
    is_mariadb = mariadb.is_meant(store.url)
    with store.read() as session:
        raw = session.connection().exec_driver_sql
        raw(f"ANALYZE TABLE {', '.join(tables)}" if is_mariadb else "ANALYZE")
        session.commit()


def _explain(store: Datastore, sql: str, parameters: Any) -> list[str]:
    how = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
    with store.read() as session:
        rows = session.connection().exec_driver_sql(f"{how} {sql}", parameters).all()
    # MariaDB tells of a table in many columns.
    whole = mariadb.is_meant(store.url)
    return [" ".join(map(str, row if whole else row[-1:])) for row in rows]
