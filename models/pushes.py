"""Work for the notifier: jobs, devices that did not accept, provider tokens.

The row is the job: it is written in its message's transaction, and whoever holds its
lease pushes it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    Boolean,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId, where_set

QUEUED = "queued"
PROCESSING = "processing"
COMPLETED = "completed"
FAILED = "failed"

# What a push says: here is a message, forget that message, this user has read so far.
MESSAGE = "message"
WITHDRAW = "withdraw"
READ = "read"


class PushJob(Base):
    """A message to be pushed, or one key range (shard) of its audience."""

    __tablename__ = "push_job"
    # An ended job is in none of these indexes: they stay as small as the queue, however
    # long the history, and a send does not write to all of them.
    __table_args__ = (
        # "Is anything due, or has a lease expired?" is one look into one index.
        where_set("ix_push_job_due_at", "due_at"),
        # "Is an earlier message of this chat still being fanned out?"
        where_set("ix_push_job_ordering_key_message_id", "ordering_key", "message_id"),
        where_set("ix_push_job_lease_owner", "lease_owner"),
        where_set("ix_push_job_parent_id", "parent_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"), index=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chat.id"))
    kind: Mapped[str] = mapped_column(String(16), default=MESSAGE)
    # Of kind READ: the reader, whose own devices are told.
    only_user: Mapped[int | None] = mapped_column(BigId)
    # A shard points to the job it was split from, which is the first shard itself.
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("push_job.id"))
    state: Mapped[str] = mapped_column(String(16))
    # When it may be claimed: at first the delivery time, while it is leased the end
    # of the lease, between retries the next try; NULL once it has ended.
    due_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    # The chat whose order it holds until it has been fanned out; NULL afterwards,
    # and from the start when its delivery was put off on purpose.
    ordering_key: Mapped[int | None] = mapped_column(BigId)
    # Keyset cursor: every device up to and including (user, device) is recorded.
    cursor_user: Mapped[int] = mapped_column(BigId, default=0)
    cursor_device: Mapped[int] = mapped_column(BigId, default=0)
    # Last user of the shard, inclusive; NULL means to the end.
    until_user: Mapped[int | None] = mapped_column(BigId)
    fanned_out: Mapped[bool] = mapped_column(Boolean, default=False)
    # Devices it is for; NULL until they have been counted.
    total: Mapped[int | None] = mapped_column(Integer)
    accepted: Mapped[int] = mapped_column(Integer, default=0)
    failed: Mapped[int] = mapped_column(Integer, default=0)
    # How often it has been claimed.
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # After this moment nothing of it is tried again.
    expires_at: Mapped[datetime]


class PushFailure(Base):
    """A device that has not accepted its push; accepted ones need no row."""

    __tablename__ = "push_failure"
    __table_args__ = (
        Index("ix_push_failure_job_id_next_attempt_at", "job_id", "next_attempt_at"),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("push_job.id"), primary_key=True)
    # No foreign key: the record of a failure outlives its device.
    device_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(200))
    attempts: Mapped[int] = mapped_column(Integer)
    # When it is tried again; NULL means this outcome is final.
    next_attempt_at: Mapped[datetime | None]


class ProviderToken(Base):
    """A provider's access token, shared by every process and host."""

    __tablename__ = "provider_token"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    token: Mapped[str | None] = mapped_column(Text)
    issued_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    # Who is making the next one, and until when the others wait for it.
    refresher: Mapped[str | None] = mapped_column(String(100))
    refresh_until: Mapped[datetime | None]
    # When the provider last refused one: a second refusal soon after must not be
    # answered with yet another token.
    refused_at: Mapped[datetime | None]


class RouteTrouble(Base):
    """A provider that refuses our credentials, as some process has seen it last."""

    __tablename__ = "route_trouble"

    route: Mapped[str] = mapped_column(String(200), primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime]


class Target(NamedTuple):
    """One device as the fan-out reads it: all a channel needs to push to it."""

    user_id: int
    device_id: int
    platform: str
    token: str
    app: str | None
    environment: str
    registered_at: datetime
    # Unread messages of the user, shown on the app's icon.
    badge: int
    # How often this job has tried it before.
    attempts: int = 0


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What every device of a job is told: the message, ready to be rendered."""

    job_id: int
    # MESSAGE is shown; WITHDRAW takes it away again; READ only corrects the badge.
    kind: str = MESSAGE
    message_id: int
    chat_id: int
    chat_name: str
    # The message's number within its chat.
    seq: int
    sender_name: str
    text: str
    data: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    created_at: datetime
    # The provider stops trying after this moment.
    expires_at: datetime
