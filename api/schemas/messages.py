"""Schemas of messages."""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas import LARGEST_ID, Id, In, Key, Out, Text, Time
from datastore.posts import LONGEST_TTL_S, NO_ORIGIN, Draft, Origin
from datastore.posts import NewMessage as StoredMessage
from datastore.senders import Sender
from models.base import utc_now
from models.chats import Message

MAX_MENTIONS = 50
# A whole push has 4 KiB.
MAX_DATA_BYTES = 2048
MAX_DELAY = timedelta(days=366)
Seq = Annotated[int, Field(ge=0, le=2**31 - 1, strict=False)]


def _data_key(key: str) -> str:
    """Refuses names that Apple, Google or Bottlepost reserve."""
    if key in ("aps", "from", "message_type", "bottlepost"):
        raise ValueError("is a reserved name")
    if key.startswith(("google", "gcm")):
        raise ValueError("starts with a prefix that Google reserves")
    return key


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    return text


def _soon(moment: datetime) -> datetime:
    if moment > utc_now() + MAX_DELAY:
        raise ValueError("must be within a year")
    return moment


DataKey = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$"), AfterValidator(_data_key)
]
DataValue = Annotated[
    str, StringConstraints(max_length=MAX_DATA_BYTES), AfterValidator(_no_nul)
]


def _in_json(text: str) -> int:
    """The size in bytes inside a push, without quotes; control characters take six."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def _fits(data: dict[str, str]) -> dict[str, str]:
    size = sum(_in_json(key) + _in_json(value) for key, value in data.items())
    if size > MAX_DATA_BYTES:
        raise ValueError(f"must not exceed {MAX_DATA_BYTES:,} bytes, written as JSON")
    return data


Data = Annotated[dict[DataKey, DataValue], Field(max_length=32), AfterValidator(_fits)]


# Its letters are checked with the names that there are.
KindName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class NewMessage(In):
    conversation: Id
    message: Text
    client_id: Key | None = None
    """Your id of the message; posted again, it is neither stored nor pushed again."""
    data: Data | None = None
    """Strings for the app, delivered in the push; at most 2,048 bytes as JSON."""
    mentions: Annotated[list[Id], Field(max_length=MAX_MENTIONS)] | None = None
    """Members who get the push even if they have muted the conversation."""
    silent: bool = False
    """The push has no alert and no sound."""
    deliver_after: Annotated[Time, AfterValidator(_soon)] | None = None
    """The push waits until this time; the message is visible at once."""
    ttl: Annotated[int, Field(ge=0, le=LONGEST_TTL_S)] = LONGEST_TTL_S
    """Seconds after which the push is no longer worth delivering."""
    kind: KindName | None = None
    """The kind of the notification; a member may use only kinds for members."""
    notification: dict[str, Any] | None = None
    """What the kind's definition does not say of this notification: a part of a
    definition. Service key only."""
    sender: Id | None = None
    """The member who sends the message. The service key needs it, or `system`."""
    system: bool = False
    """The message has no sender, such as "Ann has joined". Service key only."""

    def draft(
        self, notification: dict[str, Any] | None = None, origin: Origin = NO_ORIGIN
    ) -> Draft:
        """The message; `notification` has been checked."""
        return Draft(
            text=self.message,
            client_id=self.client_id,
            data=self.data,
            mentions=sorted(set(self.mentions or ())),
            silent=self.silent,
            deliver_after=self.deliver_after,
            ttl_s=self.ttl,
            kind=self.kind,
            notification=notification,
            origin=origin,
        )


class ChangedMessage(In):
    message: Text


class MessageOut(Out):
    """A message; a deleted one keeps only its place."""

    id: int
    conversation: int
    seq: int
    sender: int | None
    """Null for a message of the system."""
    sender_name: str | None
    """The sender's name now, also if they have left; null for the system."""
    client_id: str | None
    text: str
    data: dict[str, str] | None
    mentions: list[int] | None
    silent: bool
    kind: str | None
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None


def message_out(message: Message | StoredMessage, sender: Sender) -> MessageOut:
    return MessageOut(
        id=message.id,
        conversation=message.chat_id,
        seq=message.seq,
        sender=sender.id,
        sender_name=sender.name,
        client_id=message.client_id,
        text=message.text,
        data=message.data,
        mentions=message.mentions,
        silent=message.silent,
        kind=message.kind,
        created_at=message.created_at,
        edited_at=message.edited_at,
        deleted_at=message.deleted_at,
    )


class Conversation(Out):
    """The fields of a conversation that do not depend on its number of members."""

    id: int
    name: str
    created_at: datetime
    last_seq: int


class JobLink(Out):
    id: int
    url: str


class Sent(Out):
    message: MessageOut
    conversation: Conversation
    job: JobLink


class MessagePage(In):
    before: Seq | None = None
    after: Seq | None = None
    limit: Annotated[int, Field(ge=1, le=200, strict=False)] = 50
    wait: Annotated[int, Field(ge=0, le=60, strict=False)] = 0
    """Seconds to wait for a message after `after`, if there is none yet."""


class Messages(Out):
    """Messages, ordered by `seq`."""

    messages: list[MessageOut]
    has_more: bool


class Erased(In):
    """Which messages of a conversation to delete: all without any."""

    sender: Annotated[int, Field(ge=1, le=LARGEST_ID, strict=False)] | None = None
    """Only the messages of this user."""
    after: Seq = 0
    """Only messages after this number: `last_seq` of the response before."""


class ErasedMessages(Out):
    """A part of the messages has been deleted, or the last of them."""

    deleted: int
    last_seq: int
    """The last number that was looked at."""
    has_more: bool


class Read(In):
    seq: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """The number of the last message that was read."""


class ReadState(Out):
    read_seq: int
    unread: int
    """Messages after `read_seq` that are not deleted."""
