"""Unread without deleted messages, and a badge that skips what has been read.

Code from before this migration goes on working on the new tables. Its engines do not
unmark the members who are caught up, so a badge may miss messages that they push.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

from models.base import BigId

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FIND_UNCOUNTED = """
    INSERT INTO uncounted (chat_id, seq, nth)
    SELECT chat_id, seq, row_number() OVER (PARTITION BY chat_id ORDER BY seq)
    FROM message WHERE deleted_at IS NOT NULL
"""
_SET_UNCOUNTED = """
    UPDATE chat SET
        uncounted_seq =
            (SELECT max(seq) FROM uncounted WHERE uncounted.chat_id = chat.id),
        uncounted = (SELECT max(nth) FROM uncounted WHERE uncounted.chat_id = chat.id)
    WHERE id IN (SELECT chat_id FROM uncounted)
"""
# On SQLite and PostgreSQL no message is posted meanwhile, because the new column has
# locked the table that every post reads. MariaDB has committed the column by now, so
# there a badge may miss a message of just that moment until its chat's next one.
_SET_CAUGHT_UP = """
    UPDATE member SET caught_up = 1
    WHERE read_seq >= (SELECT last_seq FROM chat WHERE chat.id = member.chat_id)
"""


def upgrade() -> None:
    op.create_table(
        "uncounted",
        sa.Column("chat_id", BigId, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("nth", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chat.id"], name=op.f("fk_uncounted_chat_id_chat")
        ),
        sa.PrimaryKeyConstraint("chat_id", "seq", name=op.f("pk_uncounted")),
    )
    op.add_column("chat", sa.Column("uncounted_seq", sa.Integer(), nullable=True))
    op.add_column("chat", sa.Column("uncounted", sa.Integer(), nullable=True))
    op.add_column("member", sa.Column("caught_up", sa.Integer(), nullable=True))
    for statement in (_FIND_UNCOUNTED, _SET_UNCOUNTED, _SET_CAUGHT_UP):
        op.execute(statement)
    _index_member("IS NULL", "user_id", "caught_up")
    _index_member("IS NOT NULL", "chat_id", "caught_up", "user_id")


def _index_member(which: str, *columns: str) -> None:
    where = sa.text(f"caught_up {which}")
    op.create_index(
        f"ix_member_{'_'.join(columns)}",
        "member",
        list(columns),
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    op.drop_index("ix_member_chat_id_caught_up_user_id", "member")
    op.drop_index("ix_member_user_id_caught_up", "member")
    op.drop_column("member", "caught_up")
    op.drop_column("chat", "uncounted")
    op.drop_column("chat", "uncounted_seq")
    op.drop_table("uncounted")
