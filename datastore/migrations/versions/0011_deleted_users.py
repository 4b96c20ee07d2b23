"""Users can be deleted.

Processes from before this migration go on working on the new tables: the row of a
deleted user stays, with another name, and so does that of the system, whose messages
they show with its name. They do not know that such a user must get no new token, so
what they still give to one is taken away at the end of the deletion.

Revision: 0011, after 0009.
"""

import sqlalchemy as sa
from alembic import op

from models.base import BigId, UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("deleted_at", UtcDateTime(), nullable=True))
    op.create_table(
        "user_deletion",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("keep_texts", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("after_id", BigId, nullable=False),
        sa.Column("after_nth", BigId, nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=True),
        sa.Column("remembered", sa.JSON(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("devices", sa.Integer(), nullable=False),
        sa.Column("memberships", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_user_deletion_user_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_deletion")),
        sa.UniqueConstraint("user_id", name=op.f("uq_user_deletion_user_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_user_deletion_due_at", "user_deletion", ["due_at"])
    op.create_index("ix_user_deletion_external_id", "user_deletion", ["external_id"])


def downgrade() -> None:
    op.drop_table("user_deletion")
    op.drop_column("user", "deleted_at")
