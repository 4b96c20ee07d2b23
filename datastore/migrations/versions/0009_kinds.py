"""Kinds of notifications, which messages name, and avatars of users.

Processes from before this migration go on working on the new tables: they write none
of the new columns, and push every message with the built-in look.

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

from models.base import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kind",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("for_members", sa.Boolean(), nullable=False),
        sa.Column("from_file", sa.Boolean(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_kind")),
    )
    op.create_index("ix_kind_updated_at", "kind", ["updated_at"])
    op.add_column("message", sa.Column("kind", sa.String(length=64), nullable=True))
    op.add_column("message", sa.Column("notification", sa.JSON(), nullable=True))
    op.add_column(
        "user", sa.Column("avatar_url", sa.String(length=1000), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("user", "avatar_url")
    op.drop_column("message", "notification")
    op.drop_column("message", "kind")
    op.drop_table("kind")
