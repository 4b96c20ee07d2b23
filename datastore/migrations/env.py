"""Alembic's entry point: runs the migrations on the connection that it is given."""

from alembic import context

from models import (  # noqa: F401 - imported to fill the metadata
    accounts,
    chats,
    imports,
    kind_rows,
    pushes,
)
from models.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
