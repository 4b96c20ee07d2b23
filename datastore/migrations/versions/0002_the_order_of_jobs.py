"""The order of a chat's jobs: each waits for the one before it, by its id.

`ordering_key` named the chat, so finding out which jobs may be claimed took longer the
more of them were due.

Revision: 0002, after 0001.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from models.base import BigId

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPEN = """
    SELECT id, chat_id, message_id, kind, parent_id FROM push_job
    WHERE ordering_key IS NOT NULL AND finished_at IS NULL
    ORDER BY chat_id, message_id, id
"""


def upgrade() -> None:
    op.add_column("chat", sa.Column("last_job_id", BigId, nullable=True))
    op.add_column("push_job", sa.Column("waits_for", BigId, nullable=True))
    op.add_column("push_job", _with_default("holds_chat", sa.Boolean(), sa.false()))
    op.add_column("push_job", _with_default("holding_shards", sa.Integer(), "0"))
    _set_order(op.get_bind())
    op.drop_index("ix_push_job_ordering_key_message_id", "push_job")
    op.drop_index("ix_push_job_due_at", "push_job")
    op.drop_column("push_job", "ordering_key")
    _index_where_set("ix_push_job_due_at_id", "due_at", "id")
    _index_where_set("ix_push_job_waits_for", "waits_for")


def _set_order(connection: sa.Connection) -> None:
    """Link the jobs that are still in the order of their chats."""
    jobs = connection.execute(sa.text(_OPEN)).all()
    holding: set[int] = set()
    shards: dict[int, int] = {}
    for job in jobs:
        if job.kind == "message":
            holding.add(job.id)
            if job.parent_id is not None:
                shards[job.parent_id] = shards.get(job.parent_id, 0) + 1
    # By chat and by message: the newest message so far, and each message's own job.
    last: dict[int, int] = {}
    of_message: dict[int, int] = {}
    waits: dict[int, int] = {}
    for job in jobs:
        if job.kind != "message":
            if job.message_id in of_message:
                waits[job.id] = of_message[job.message_id]
            continue
        # The first shard is the job itself, which may have ended.
        whole = job.parent_id or job.id
        if of_message.get(job.message_id) == whole:
            continue
        if job.parent_id is None and job.chat_id in last:
            waits[job.id] = last[job.chat_id]
        last[job.chat_id] = of_message[job.message_id] = whole
    _execute(connection, "push_job SET holds_chat = :v", dict.fromkeys(holding, True))
    _execute(connection, "push_job SET holding_shards = :v", shards)
    _execute(connection, "push_job SET waits_for = :v, due_at = NULL", waits)
    _execute(connection, "chat SET last_job_id = :v", last)


def _execute(connection: sa.Connection, change: str, values: dict[int, Any]) -> None:
    if values:
        rows = [{"id": id_, "v": value} for id_, value in values.items()]
        connection.execute(sa.text(f"UPDATE {change} WHERE id = :id"), rows)


def _with_default(name: str, kind: Any, value: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=value)


def _index_where_set(name: str, *columns: str) -> None:
    is_set = sa.text(f"{columns[0]} IS NOT NULL")
    op.create_index(
        name, "push_job", list(columns), sqlite_where=is_set, postgresql_where=is_set
    )


def downgrade() -> None:
    """Jobs that wait are due again; they are in the order of their messages."""
    op.add_column("push_job", sa.Column("ordering_key", BigId, nullable=True))
    holds = sa.or_(
        sa.column("holds_chat"),
        sa.column("holding_shards") > 0,
        sa.column("waits_for").is_not(None),
    )
    job = sa.table("push_job", sa.column("ordering_key"), sa.column("chat_id"))
    op.execute(
        sa.update(job)
        .where(holds, sa.column("finished_at").is_(None))
        .values(ordering_key=job.c.chat_id)
    )
    op.execute(
        "UPDATE push_job SET due_at = created_at"
        " WHERE due_at IS NULL AND finished_at IS NULL"
    )
    op.drop_index("ix_push_job_waits_for", "push_job")
    op.drop_index("ix_push_job_due_at_id", "push_job")
    for name in ("holding_shards", "holds_chat", "waits_for"):
        op.drop_column("push_job", name)
    op.drop_column("chat", "last_job_id")
    _index_where_set("ix_push_job_due_at", "due_at")
    _index_where_set(
        "ix_push_job_ordering_key_message_id", "ordering_key", "message_id"
    )
