"""A message before it is stored, and after."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from models.chats import Message

# Four weeks: the longest that Google keeps a message for a phone that is off.
LONGEST_TTL_S = 28 * 24 * 3600


class Origin(NamedTuple):
    """The request that adds a job, for whoever follows it through the logs."""

    request_id: str | None = None
    # W3C Trace Context; None unless requests are traced.
    traceparent: str | None = None


NO_ORIGIN = Origin()


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message to be posted, and how it shall be pushed."""

    text: str
    # A second post by the same member with this id returns the first message.
    client_id: str | None = None
    data: dict[str, str] | None = None
    mentions: list[int] | None = None
    silent: bool = False
    # The kind of its notification.
    kind: str | None = None
    # What the service sets for this notification alone.
    notification: dict[str, Any] | None = None
    # The push waits until then; the conversation shows the message at once.
    deliver_after: datetime | None = None
    ttl_s: int = LONGEST_TTL_S
    # Of its job; no part of what the sender gives.
    origin: Origin = NO_ORIGIN

    def columns(self) -> dict[str, Any]:
        """The message's columns that its sender gives."""
        return {
            "client_id": self.client_id,
            "text": self.text,
            "data": self.data or None,
            "mentions": self.mentions or None,
            "silent": self.silent,
            "kind": self.kind,
            "notification": self.notification or None,
        }

    def digest(self) -> str:
        """Of all that the sender gives, but for the client id: 32 characters.

        A field with its default leaves no trace, so a field may be added later.
        """
        given = self.columns()
        del given["client_id"]
        given = {name: value for name, value in given.items() if value}
        if self.deliver_after is not None:
            given["deliver_after"] = self.deliver_after.astimezone(UTC).isoformat()
        if self.ttl_s != LONGEST_TTL_S:
            given["ttl_s"] = self.ttl_s
        content = json.dumps(given, sort_keys=True).encode()
        return blake2b(content, digest_size=16).hexdigest()


class NewMessage(NamedTuple):
    """A message as it was inserted; the columns of `Message`, without the ORM."""

    id: int
    chat_id: int
    seq: int
    sender_id: int
    client_id: str | None
    text: str
    data: dict[str, str] | None
    mentions: list[int] | None
    silent: bool
    kind: str | None
    notification: dict[str, Any] | None
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


class Posted(NamedTuple):
    """A stored message and its job; not new if it had been posted before."""

    message: Message | NewMessage
    job_id: int
    is_new: bool
