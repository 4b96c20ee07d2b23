"""Imports: jobs, chunks of their rows, and bad lines."""

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import JSON, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

# The upload has not ended; the later states are those of a push job.
RECEIVING: Final = "receiving"

Kind = Literal["user", "conversation", "device", "member"]


class Row(NamedTuple):
    """A valid line: its names and values, which have been checked."""

    line: int
    kind: Kind
    values: dict[str, str]


class Problem(NamedTuple):
    """Why a line was skipped; `field` is empty if the whole line is wrong."""

    line: int
    field: str
    message: str


class ImportJob(Base):
    """An upload; its lease and `due_at` work like those of a push job."""

    __tablename__ = "import_job"
    __table_args__ = (
        Index("ix_import_job_due_at", "due_at"),
        Index("ix_import_job_lease_owner", "lease_owner"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    # NULL during the upload, and after the import has ended.
    due_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    # Lines that hold a row, good or bad.
    total: Mapped[int] = mapped_column(Integer, default=0)
    done: Mapped[int] = mapped_column(Integer, default=0)
    failed: Mapped[int] = mapped_column(Integer, default=0)
    # Rows that have changed the database.
    changed: Mapped[int] = mapped_column(Integer, default=0)
    # Claims since the last chunk that was applied.
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ImportChunk(Base):
    """Rows of an upload; deleted when they are applied, so the rest is what is left."""

    __tablename__ = "import_chunk"

    import_id: Mapped[int] = mapped_column(
        ForeignKey("import_job.id"), primary_key=True
    )
    first_line: Mapped[int] = mapped_column(
        Integer, primary_key=True, autoincrement=False
    )
    rows: Mapped[list[Any]] = mapped_column(JSON)


class ImportProblem(Base):
    """A bad line; only the first ones of an upload are stored."""

    __tablename__ = "import_problem"

    import_id: Mapped[int] = mapped_column(
        ForeignKey("import_job.id"), primary_key=True
    )
    line: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    field: Mapped[str] = mapped_column(String(100))
    message: Mapped[str] = mapped_column(String(200))
