"""Kinds of notifications, as the service has defined them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Kind(Base):
    """A named look of notifications."""

    __tablename__ = "kind"
    # Tells an engine whether there is a newer definition than those that it has.
    __table_args__ = (Index("ix_kind_updated_at", "updated_at"),)

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    # Whether members may name it; the service may name all.
    for_members: Mapped[bool] = mapped_column(Boolean)
    # It is in the file of the settings, so the API must not change it.
    from_file: Mapped[bool] = mapped_column(Boolean)
    updated_at: Mapped[datetime]
    # The document, which has been checked. It is the last column, because it is long.
    definition: Mapped[dict[str, Any]] = mapped_column(JSON)
