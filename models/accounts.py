"""Users, their API tokens and their devices."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

# What a deleted user is called from then on.
DELETED_NAME = "Deleted user"
# The external id of the sender of messages without a sender. No app can give it to a
# user, because of its space.
SYSTEM = "the system"


class User(Base):
    """A person who writes and reads messages."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    # The id in the app's own backend; imports refer to users by it.
    external_id: Mapped[str | None] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    # Where phones find the user's picture; set by the service only.
    avatar_url: Mapped[str | None] = mapped_column(String(1000))
    created_at: Mapped[datetime]
    # The row of a deleted user stays, without anything personal: messages and jobs
    # refer to it, and SQLite would give its id to another user.
    deleted_at: Mapped[datetime | None]


class ApiToken(Base):
    """A bearer token of a user; only its SHA-256 is stored."""

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
        # Some databases cannot index a text as long as a token, so its hash is indexed.
        UniqueConstraint("platform", "token_hash"),
        # The fan-out pages by the key (user, device); with the last column, counting
        # the devices of a conversation reads no row of this table.
        Index("ix_device_user_id_id_disabled_at", "user_id", "id", "disabled_at"),
        # Ids are never reused: old failures must not name another device.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    platform: Mapped[str] = mapped_column(String(16))
    token: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[str] = mapped_column(String(64))
    # The APNs topic, or another name of the app; NULL means the app of the settings.
    app: Mapped[str | None] = mapped_column(String(200))
    # "production" or "sandbox"; only APNs distinguishes them.
    environment: Mapped[str] = mapped_column(String(16))
    locale: Mapped[str | None] = mapped_column(String(35))
    # Updated by each registration: an older "gone" must not disable a new token.
    registered_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    # Why the device was disabled, or may soon be.
    reason: Mapped[str | None] = mapped_column(String(100))


class EndedSession(Base):
    """An operator's session that was ended; the row is needed until it expires."""

    __tablename__ = "ended_session"

    # SHA-256 of the cookie.
    session_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime]
