"""Deletions of users, which go on in the background."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, Boolean, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

# The stages of a deletion, in this order.
# API tokens and devices.
ACCESS: Final = "access"
MEMBERSHIPS: Final = "memberships"
# Messages, client ids and departures, conversation by conversation.
TEXTS: Final = "texts"
# What providers have said about the user's devices, in failures and in jobs.
FAILURES: Final = "failures"
JOBS: Final = "jobs"
# Rows of uploads that have not been applied.
IMPORTS: Final = "imports"
# What other processes have added meanwhile.
REST: Final = "rest"
# Copies that SQLite has left in its files.
FILES: Final = "files"
STAGES = (ACCESS, MEMBERSHIPS, TEXTS, FAILURES, JOBS, IMPORTS, REST, FILES)


class UserDeletion(Base):
    """The deletion of a user; its states are those of a push job.

    Each step is one transaction, which does a part of a stage and says where the next
    one begins. So no process owns a deletion, and after a crash any of them goes on.
    """

    __tablename__ = "user_deletion"
    __table_args__ = (
        Index("ix_user_deletion_due_at", "due_at"),
        Index("ix_user_deletion_external_id", "external_id"),
        # Ids are never reused: an old address must not show another deletion.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), unique=True)
    keep_texts: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str] = mapped_column(String(16))
    # NULL when it has ended.
    due_at: Mapped[datetime | None]
    # Where the stage goes on: an id, and a number within it. Each stage says which.
    after_id: Mapped[int] = mapped_column(BigId, default=0)
    after_nth: Mapped[int] = mapped_column(BigId, default=0)
    # What later stages look for; NULL at the end. Imports look for the first one.
    external_id: Mapped[str | None] = mapped_column(String(100))
    remembered: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    # How many of each are gone.
    tokens: Mapped[int] = mapped_column(Integer, default=0)
    devices: Mapped[int] = mapped_column(Integer, default=0)
    memberships: Mapped[int] = mapped_column(Integer, default=0)
    messages: Mapped[int] = mapped_column(Integer, default=0)
    # Why it cannot go on at the moment.
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
