"""Who uses the chat and on which devices: users, their API tokens, their devices."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId


class User(Base):
    """A person who writes and reads messages."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    # What the app's own backend calls them; imports know users by it.
    external_id: Mapped[str | None] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]


class ApiToken(Base):
    """A bearer token of a user; only its SHA-256 is kept."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Device(Base):
    """A token under which a provider reaches one app on one phone."""

    __tablename__ = "device"
    __table_args__ = (
        # Tokens are too long for an index on some databases; their hash is not.
        UniqueConstraint("platform", "token_hash"),
        # The fan-out walks (user, device) by keyset.
        Index("ix_device_user_id_id", "user_id", "id"),
        # A removed device's number must not name another one in old failures.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    platform: Mapped[str] = mapped_column(String(16))
    token: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[str] = mapped_column(String(64))
    # APNs topic or other name of the app; NULL is the app of the settings.
    app: Mapped[str | None] = mapped_column(String(200))
    # "production" or "sandbox": only APNs tells them apart.
    environment: Mapped[str] = mapped_column(String(16))
    locale: Mapped[str | None] = mapped_column(String(35))
    # Renewed at every registration: an old "gone" must not disable a new token.
    registered_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    # Why it was disabled, or what makes it suspect while it still is enabled.
    reason: Mapped[str | None] = mapped_column(String(100))
