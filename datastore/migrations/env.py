"""Alembic's entry point: runs the migrations on the connection that it is given."""

from typing import Any

from alembic import context

from models import (  # noqa: F401 - imported to fill the metadata
    accounts,
    chats,
    imports,
    kind_rows,
    pushes,
)
from models.base import Base


def _tell(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
    # Tests and tools that run Alembic themselves give no such call.
    if tell := context.config.attributes.get("tell"):
        tell(step.up_revision_id)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
    on_version_apply=_tell,
)
context.run_migrations()
