"""Messages may be pruned: how long a conversation keeps them, and what is gone.

And an index with which devices are counted without reading their rows.

Code from before this migration goes on working on the new tables. It counts pruned
messages as unread, so prune messages only when all processes are new.

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chat", sa.Column("retention_days", sa.Integer(), nullable=True))
    op.add_column("chat", sa.Column("pruned_seq", sa.Integer(), nullable=True))
    columns = ["user_id", "id", "disabled_at"]
    op.create_index("ix_device_user_id_id_disabled_at", "device", columns)
    op.drop_index("ix_device_user_id_id", "device")


def downgrade() -> None:
    op.create_index("ix_device_user_id_id", "device", ["user_id", "id"])
    op.drop_index("ix_device_user_id_id_disabled_at", "device")
    op.drop_column("chat", "pruned_seq")
    op.drop_column("chat", "retention_days")
