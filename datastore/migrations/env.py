"""Alembic's entry point: runs the migrations on the connection that it is given."""

from typing import Any

from alembic import context
from sqlalchemy import text

from models import (  # noqa: F401 - imported to fill the metadata
    accounts,
    chats,
    deletions,
    imports,
    kind_rows,
    pushes,
)
from models.base import Base

# While a migration waits for a table, all others wait for it behind the migration.
LOCK_WAIT = "SET LOCAL lock_timeout = '400ms'"


def _tell(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
    # Tests and tools that run Alembic themselves give no such call.
    if tell := context.config.attributes.get("tell"):
        tell(step.up_revision_id)


def _limit_waits() -> None:
    connection = context.get_bind()
    if connection.dialect.name == "postgresql":
        connection.execute(text(LOCK_WAIT))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
    on_version_apply=_tell,
)
with context.begin_transaction():
    _limit_waits()
    context.run_migrations()
