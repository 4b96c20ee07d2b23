"""Conversations, members and messages as JSON."""

from datetime import datetime
from typing import Annotated

from pydantic import FailFast, Field

from api.schemas import Id, In, Key, Name, Out, Text
from models.groupchat import Message

MOST_MEMBERS = 200_000
UserIds = Annotated[list[Id], FailFast(), Field(max_length=MOST_MEMBERS)]
Seq = Annotated[int, Field(ge=0, le=2**31 - 1, strict=False)]


class NewChat(In):
    name: Name
    members: UserIds = Field(default_factory=list)


class NewMembers(In):
    user_ids: Annotated[UserIds, Field(min_length=1)]


class AddedMembers(Out):
    """Those who were not members before."""

    added: int


class ChatOut(Out):
    """A conversation; `members` are the first 1,000 by id, the rest is paged."""

    id: int
    name: str
    created_at: datetime
    last_seq: int
    role: str | None
    member_count: int
    members: list[int]


class MemberPage(In):
    after: Annotated[int, Field(ge=0, le=2**63 - 1, strict=False)] = 0
    limit: Annotated[int, Field(ge=1, le=10_000, strict=False)] = 1000


class Members(Out):
    members: list[int]
    has_more: bool


class NewMessage(In):
    conversation: Id
    message: Text
    client_id: Key | None = None


class MessageOut(Out):
    id: int
    conversation: int
    seq: int
    sender: int
    client_id: str | None
    text: str
    created_at: datetime


def message_out(message: Message) -> MessageOut:
    return MessageOut(
        id=message.id,
        conversation=message.chat_id,
        seq=message.seq,
        sender=message.sender_id,
        client_id=message.client_id,
        text=message.text,
        created_at=message.created_at,
    )


class Conversation(Out):
    """What of a conversation costs the same for 2 members and for 200,000."""

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


class Messages(Out):
    """In the order they were written."""

    messages: list[MessageOut]
    has_more: bool
