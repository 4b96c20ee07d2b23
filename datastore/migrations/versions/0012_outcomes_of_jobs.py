"""Counts of a job's devices by platform and outcome, and the platforms of engines.

Processes from before this migration go on working on the new tables: they leave the
counts as they are, so what they have added is missing there, and the counts are not
shown.

Revision: 0012, after 0009.
"""

import sqlalchemy as sa
from alembic import op

from models.base import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("push_job", sa.Column("outcomes", sa.Text(), nullable=True))
    op.create_table(
        "live_platform",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("platform", name=op.f("pk_live_platform")),
    )


def downgrade() -> None:
    op.drop_table("live_platform")
    op.drop_column("push_job", "outcomes")
