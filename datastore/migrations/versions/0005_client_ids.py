"""Client ids have a table of their own, and are forgotten after days of their own.

Processes from before this migration go on working on the new tables: they look for an
id in `message`, where it is written, too, until the last of them is gone. The ids that
are there stay there, and are known for as long as the jobs of their messages.

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

from models.base import BigId, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client_id",
        sa.Column("chat_id", BigId, autoincrement=False, nullable=False),
        sa.Column("sender_id", BigId, autoincrement=False, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=False),
        sa.Column("message_id", BigId, nullable=False),
        sa.Column("job_id", BigId, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "chat_id", "sender_id", "client_id", name=op.f("pk_client_id")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_client_id_created_at", "client_id", ["created_at"])


def downgrade() -> None:
    op.drop_table("client_id")
