"""A table of those who have left a conversation.

Processes from before this migration go on working on the new tables: when somebody
leaves, they delete the membership and add no row here, and they ask nobody who has a
row. A row here says nothing about a user who is a member.

Revision: 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

from models.base import BigId, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "departure",
        sa.Column("chat_id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("left_at", UtcDateTime(), nullable=False),
        sa.Column("by_themselves", sa.Boolean(), nullable=False),
        sa.Column("muted_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chat.id"], name=op.f("fk_departure_chat_id_chat")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_departure_user_id_user")
        ),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name=op.f("pk_departure")),
    )


def downgrade() -> None:
    op.drop_table("departure")
