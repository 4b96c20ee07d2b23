"""The hosts of endpoints that do not exist, and since when.

Processes from before this migration do not use the table.

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

from models.base import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "missing_host",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_missing_host")),
    )
    op.create_index("ix_missing_host_seen_at", "missing_host", ["seen_at"])


def downgrade() -> None:
    op.drop_table("missing_host")
