"""Rows of the notifier: jobs, failures, provider tokens and provider problems.

The row is the job: it is written in the transaction of its message, and the engine
that holds its lease pushes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

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

# Kinds of pushes: show a message, withdraw its notification, or correct the badge.
MESSAGE = "message"
WITHDRAW = "withdraw"
READ = "read"

# The platform of browsers, which show something for every push.
BROWSER = "webpush"

# `due_at` of a job that is due at once. It is a constant and not the current time,
# because the clocks of the web server and of the notifier may differ.
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)


class PushJob(Base):
    """A message to be pushed, or one key range (shard) of its audience."""

    __tablename__ = "push_job"
    # Ended jobs are in none of these indexes, so these stay as small as the queue, and
    # a send does not write to all of them.
    __table_args__ = (
        # Due jobs and expired leases are found by one search of this index. Jobs that
        # wait for another one are not in it.
        where_set("ix_push_job_due_at_id", "due_at", "id"),
        # Finds the jobs to be let pass.
        where_set("ix_push_job_waits_for", "waits_for"),
        where_set("ix_push_job_lease_owner", "lease_owner"),
        where_set("ix_push_job_parent_id", "parent_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"), index=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chat.id"))
    kind: Mapped[str] = mapped_column(String(16), default=MESSAGE)
    # For READ: the reader, whose own devices get the push.
    only_user: Mapped[int | None] = mapped_column(BigId)
    # A shard points to the job it was split from, which is itself the first shard.
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("push_job.id"))
    state: Mapped[str] = mapped_column(String(16))
    # When it may be claimed: AT_ONCE or the delivery time, then the end of the lease or
    # the time of the next retry; NULL while it waits for another job and once it has
    # ended.
    due_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    # The job that has to let this one pass first: that of the chat's message before,
    # or of the message that is withdrawn or read.
    waits_for: Mapped[int | None] = mapped_column(BigId)
    # Whether the jobs behind it have to wait for its devices, or for shards of it.
    # Both stay empty for a message with a later delivery time.
    holds_chat: Mapped[bool] = mapped_column(Boolean, default=False)
    holding_shards: Mapped[int] = mapped_column(Integer, default=0)
    # Keyset cursor: all devices up to and including (user, device) are recorded.
    cursor_user: Mapped[int] = mapped_column(BigId, default=0)
    cursor_device: Mapped[int] = mapped_column(BigId, default=0)
    # Last user of the shard, inclusive; NULL means to the end.
    until_user: Mapped[int | None] = mapped_column(BigId)
    fanned_out: Mapped[bool] = mapped_column(Boolean, default=False)
    # Number of devices; NULL until they have been counted.
    total: Mapped[int | None] = mapped_column(Integer)
    accepted: Mapped[int] = mapped_column(Integer, default=0)
    failed: Mapped[int] = mapped_column(Integer, default=0)
    # The same by platform and outcome (`outbox/outcome_counts.py`); NULL until the
    # first step, and for ever if an older engine has done it all.
    outcomes: Mapped[str | None] = mapped_column(Text)
    # Number of claims.
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # After this time nothing is retried.
    expires_at: Mapped[datetime]
    # The request that has added it, and its trace (W3C Trace Context).
    request_id: Mapped[str | None] = mapped_column(String(64))
    traceparent: Mapped[str | None] = mapped_column(String(64))


class PushFailure(Base):
    """A device that has not accepted its push; accepted pushes have no row."""

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
    # The time of the next attempt; NULL means that this outcome is final.
    next_attempt_at: Mapped[datetime | None]


class ProviderToken(Base):
    """A provider's access token, shared by every process and host."""

    __tablename__ = "provider_token"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    token: Mapped[str | None] = mapped_column(Text)
    issued_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    # The process that fetches the next token, and how long the others wait for it.
    refresher: Mapped[str | None] = mapped_column(String(100))
    refresh_until: Mapped[datetime | None]
    # When the provider last refused a token: a second refusal soon after must not
    # cause another refresh.
    refused_at: Mapped[datetime | None]


class RouteTrouble(Base):
    """A provider that refuses us or is out of reach, as last seen by any process."""

    __tablename__ = "route_trouble"

    route: Mapped[str] = mapped_column(String(200), primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime]


class MissingHost(Base):
    """A host of endpoints that a name server says does not exist."""

    __tablename__ = "missing_host"
    __table_args__ = (Index("ix_missing_host_seen_at", "seen_at"),)

    host: Mapped[str] = mapped_column(String(253), primary_key=True)
    # The first and the last look-up that said so, with no other answer in between.
    since: Mapped[datetime]
    seen_at: Mapped[datetime]


class LivePlatform(Base):
    """A platform that the processes of some host are set up for."""

    __tablename__ = "live_platform"

    platform: Mapped[str] = mapped_column(String(16), primary_key=True)
    # When one of them has last said so.
    seen_at: Mapped[datetime]


class Target(NamedTuple):
    """A device as the fan-out reads it, with all that a channel needs."""

    user_id: int
    device_id: int
    platform: str
    token: str
    app: str | None
    environment: str
    registered_at: datetime
    # Number of the user's unread messages, shown on the app's icon.
    badge: int
    # Earlier attempts of this job.
    attempts: int = 0
    # Whether the device has a reason that an accepted push removes; known to retries.
    is_marked: bool = False
    # How the last try of this job ended; known to retries.
    outcome: str | None = None
    # The language of the device's user, such as "de-AT".
    locale: str | None = None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a notification shows on the devices of one platform and language."""

    title: str
    subtitle: str
    # It is cut if it is too long.
    body: str
    # The fields of the platform, from the kind and from the message.
    block: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Notification:
    """The message of a job, ready to be rendered for its devices."""

    job_id: int
    # MESSAGE is shown, WITHDRAW removes it again, READ only corrects the badge.
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
    # The provider does not deliver it after this time.
    expires_at: datetime
    # What apps need for notifications of their own.
    sender_id: int = 0
    sender_external_id: str | None = None
    sender_avatar: str | None = None
    chat_external_id: str | None = None
    # More than two members.
    is_group: bool = False
    # None if no pattern asks for their number.
    members: int | None = None
    # The definitions of its kind and of that for mentions, where there are any.
    definition: Mapping[str, Any] | None = None
    mention_definition: Mapping[str, Any] | None = None
    # What the service has set for this message alone.
    changes: Mapping[str, Any] | None = None
    # The users who are mentioned, and whether it is rendered for one of them.
    mentions: frozenset[int] = frozenset()
    is_mentioned: bool = False
    # The language of our own texts in it; None: not chosen yet.
    locale: str | None = None
    # None: as every notification without a kind.
    shown: Shown | None = None

    @property
    def is_of_system(self) -> bool:
        """Whether the message has no sender, and the conversation may be told."""
        return not (self.sender_id or self.sender_name) and bool(self.chat_name)

    @property
    def heading(self) -> tuple[str, str]:
        """Title and subtitle of the built-in look.

        A message of the system has no sender, so the conversation is its title.
        """
        names = self.sender_name, self.chat_name
        return names if self.sender_name else names[::-1]
