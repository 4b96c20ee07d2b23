"""Creates an index on a large table while others write to it.

On PostgreSQL it is built concurrently, outside of a transaction. So such an index is a
migration of its own, with a single call: what a killed run has left is removed by the
next one. Other databases build it at once.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

_PARTITIONS = sa.text(
    "SELECT relid::regclass::text FROM pg_partition_tree(to_regclass(:table))"
    " WHERE isleaf AND parentrelid IS NOT NULL ORDER BY 1"
)
_IS_PARTITIONED = sa.text(
    "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:table)"
)


def create(
    name: str, table: str, columns: Sequence[str], where: str | None = None
) -> None:
    """An index on these columns, of the rows that `where` selects."""
    if op.get_bind().dialect.name != "postgresql":
        condition = None if where is None else sa.text(where)
        op.create_index(name, table, list(columns), sqlite_where=condition)
        return
    listed = ", ".join(f'"{column}"' for column in columns)
    rest = f"({listed})" + (f" WHERE {where}" if where else "")
    with op.get_context().autocommit_block():
        # It waits for all transactions that have begun before, and delays none.
        op.execute("SET lock_timeout = 0")
        if op.get_bind().scalar(_IS_PARTITIONED, {"table": f'"{table}"'}):
            _create_by_partitions(name, table, rest)
        else:
            _create_one(name, f'"{table}"', rest)
        op.execute("RESET lock_timeout")


def _create_one(name: str, table: str, rest: str) -> None:
    op.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
    op.execute(f'CREATE INDEX CONCURRENTLY "{name}" ON {table} {rest}')


def _create_by_partitions(name: str, table: str, rest: str) -> None:
    """PostgreSQL does not build one concurrently on a table that has partitions.

    So one is built on each of them, and then all are made parts of a common one.
    """
    op.execute(f'DROP INDEX IF EXISTS "{name}"')
    # New partitions get theirs from now on; those that are there have none yet.
    op.execute(f'CREATE INDEX "{name}" ON ONLY "{table}" {rest}')
    found = op.get_bind().scalars(_PARTITIONS, {"table": f'"{table}"'}).all()
    for number, partition in enumerate(found):
        part = f"{name}_{number}"
        _create_one(part, partition, rest)
        op.execute(f'ALTER INDEX "{name}" ATTACH PARTITION "{part}"')
