"""The first tables.

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

from models.base import BigId, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _index_where_set(table: BatchOperations, name: str, *columns: str) -> None:
    is_set = sa.text(f"{columns[0]} IS NOT NULL")
    table.create_index(
        name, list(columns), sqlite_where=is_set, postgresql_where=is_set
    )


def upgrade() -> None:
    op.create_table(
        "chat",
        sa.Column("id", BigId, nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat")),
        sa.UniqueConstraint("external_id", name=op.f("uq_chat_external_id")),
    )
    op.create_table(
        "import_job",
        sa.Column("id", BigId, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_job")),
    )
    with op.batch_alter_table("import_job", schema=None) as batch_op:
        batch_op.create_index("ix_import_job_due_at", ["due_at"], unique=False)
        batch_op.create_index(
            "ix_import_job_lease_owner", ["lease_owner"], unique=False
        )

    op.create_table(
        "provider_token",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("issued_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("refresher", sa.String(length=100), nullable=True),
        sa.Column("refresh_until", UtcDateTime(), nullable=True),
        sa.Column("refused_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_provider_token")),
    )
    op.create_table(
        "route_trouble",
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("route", name=op.f("pk_route_trouble")),
    )
    op.create_table(
        "user",
        sa.Column("id", BigId, nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("external_id", name=op.f("uq_user_external_id")),
    )
    op.create_table(
        "api_token",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_api_token_user_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_api_token_user_id"), ["user_id"], unique=False
        )

    op.create_table(
        "device",
        sa.Column("id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("app", sa.String(length=200), nullable=True),
        sa.Column("environment", sa.String(length=16), nullable=False),
        sa.Column("locale", sa.String(length=35), nullable=True),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(length=100), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_device_user_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
        sa.UniqueConstraint(
            "platform", "token_hash", name=op.f("uq_device_platform_token_hash")
        ),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.create_index("ix_device_user_id_id", ["user_id", "id"], unique=False)

    op.create_table(
        "import_chunk",
        sa.Column("import_id", BigId, nullable=False),
        sa.Column("first_line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"],
            ["import_job.id"],
            name=op.f("fk_import_chunk_import_id_import_job"),
        ),
        sa.PrimaryKeyConstraint(
            "import_id", "first_line", name=op.f("pk_import_chunk")
        ),
    )
    op.create_table(
        "import_problem",
        sa.Column("import_id", BigId, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("field", sa.String(length=100), nullable=False),
        sa.Column("message", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"],
            ["import_job.id"],
            name=op.f("fk_import_problem_import_id_import_job"),
        ),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_import_problem")),
    )
    op.create_table(
        "member",
        sa.Column("chat_id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("joined_seq", sa.Integer(), nullable=False),
        sa.Column("read_seq", sa.Integer(), nullable=False),
        sa.Column("muted_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chat.id"], name=op.f("fk_member_chat_id_chat")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_member_user_id_user")
        ),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name=op.f("pk_member")),
    )
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.create_index(
            "ix_member_user_id_chat_id", ["user_id", "chat_id"], unique=False
        )

    op.create_table(
        "message",
        sa.Column("id", BigId, nullable=False),
        sa.Column("chat_id", BigId, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("sender_id", BigId, nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=True),
        sa.Column("mentions", sa.JSON(), nullable=True),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("edited_at", UtcDateTime(), nullable=True),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chat.id"], name=op.f("fk_message_chat_id_chat")
        ),
        sa.ForeignKeyConstraint(
            ["sender_id"], ["user.id"], name=op.f("fk_message_sender_id_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint(
            "chat_id",
            "sender_id",
            "client_id",
            name=op.f("uq_message_chat_id_sender_id_client_id"),
        ),
        sa.UniqueConstraint("chat_id", "seq", name=op.f("uq_message_chat_id_seq")),
    )
    op.create_table(
        "push_job",
        sa.Column("id", BigId, nullable=False),
        sa.Column("message_id", BigId, nullable=False),
        sa.Column("chat_id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("only_user", BigId, nullable=True),
        sa.Column("parent_id", BigId, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("ordering_key", BigId, nullable=True),
        sa.Column("cursor_user", BigId, nullable=False),
        sa.Column("cursor_device", BigId, nullable=False),
        sa.Column("until_user", BigId, nullable=True),
        sa.Column("fanned_out", sa.Boolean(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chat.id"], name=op.f("fk_push_job_chat_id_chat")
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_push_job_message_id_message")
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["push_job.id"], name=op.f("fk_push_job_parent_id_push_job")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push_job")),
    )
    with op.batch_alter_table("push_job", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_push_job_message_id"), ["message_id"], unique=False
        )
        _index_where_set(batch_op, "ix_push_job_due_at", "due_at")
        _index_where_set(batch_op, "ix_push_job_lease_owner", "lease_owner")
        _index_where_set(batch_op, "ix_push_job_parent_id", "parent_id")
        _index_where_set(
            batch_op,
            "ix_push_job_ordering_key_message_id",
            "ordering_key",
            "message_id",
        )

    op.create_table(
        "push_failure",
        sa.Column("job_id", BigId, nullable=False),
        sa.Column("device_id", BigId, autoincrement=False, nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["push_job.id"], name=op.f("fk_push_failure_job_id_push_job")
        ),
        sa.PrimaryKeyConstraint("job_id", "device_id", name=op.f("pk_push_failure")),
    )
    with op.batch_alter_table("push_failure", schema=None) as batch_op:
        batch_op.create_index(
            "ix_push_failure_job_id_next_attempt_at",
            ["job_id", "next_attempt_at"],
            unique=False,
        )


def downgrade() -> None:
    with op.batch_alter_table("push_failure", schema=None) as batch_op:
        batch_op.drop_index("ix_push_failure_job_id_next_attempt_at")

    op.drop_table("push_failure")
    with op.batch_alter_table("push_job", schema=None) as batch_op:
        batch_op.drop_index("ix_push_job_parent_id")
        batch_op.drop_index("ix_push_job_ordering_key_message_id")
        batch_op.drop_index(batch_op.f("ix_push_job_message_id"))
        batch_op.drop_index("ix_push_job_lease_owner")
        batch_op.drop_index("ix_push_job_due_at")

    op.drop_table("push_job")
    op.drop_table("message")
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.drop_index("ix_member_user_id_chat_id")

    op.drop_table("member")
    op.drop_table("import_problem")
    op.drop_table("import_chunk")
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.drop_index("ix_device_user_id_id")

    op.drop_table("device")
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_token_user_id"))

    op.drop_table("api_token")
    op.drop_table("user")
    op.drop_table("route_trouble")
    op.drop_table("provider_token")
    with op.batch_alter_table("import_job", schema=None) as batch_op:
        batch_op.drop_index("ix_import_job_lease_owner")
        batch_op.drop_index("ix_import_job_due_at")

    op.drop_table("import_job")
    op.drop_table("chat")
