"""The request that has added a job: its id, and its trace.

Processes from before this migration go on working on the new tables: their jobs have
neither.

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("request_id", "traceparent"):
        op.add_column("push_job", sa.Column(name, sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("push_job", "traceparent")
    op.drop_column("push_job", "request_id")
