"""Alembic's entry point: runs the migrations on the connection that it is given."""

from alembic import context

from models import accounts, chats, imports, pushes  # noqa: F401 - imported to fill the metadata
from models.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
