"""Schemas of conversations and members."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import FailFast, Field, StringConstraints, model_validator

from api.schemas import LARGEST_ID, Id, In, Key, Name, Out, Time
from api.schemas.messages import MessageOut, message_out
from datastore.chat_lists import Listed
from models.base import utc_now

MAX_MEMBERS = 200_000
UserIds = Annotated[list[Id], FailFast(), Field(max_length=MAX_MEMBERS)]
Role = Literal["owner", "member"]
RetentionDays = Annotated[int, Field(ge=1, le=36_500)]


class NewChat(In):
    name: Name
    members: UserIds = Field(default_factory=list)
    external_id: Key | None = None
    """Your backend's id of the conversation; posted again, it finds the same one.
    Service key only."""
    owner: Id | None = None
    """The owner's id; a user who creates a conversation owns it. Service key only."""
    retention_days: RetentionDays | None = None
    """Days after which messages may be pruned; null means as long as the server keeps
    messages. Only the service key may set more."""


class ChangedChat(In):
    """What is left out stays unchanged."""

    name: Name | None = None
    retention_days: RetentionDays | None = None
    """As in a new conversation; null returns to the server's own number of days."""

    @model_validator(mode="after")
    def _has_a_change(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must have a name or retention_days")
        if "name" in self.model_fields_set and self.name is None:
            raise ValueError("name must not be null")
        return self


class NewMembers(In):
    user_ids: Annotated[UserIds, Field(min_length=1)]


class RefusedMember(Out):
    user_id: int
    code: Literal["left"]
    """`left`: the user has left the conversation, so only the service can add them."""


class AddedMembers(Out):
    """The number of users who were not members before."""

    added: int
    refused: list[RefusedMember]
    """Users who were not added; empty for the service."""


class NewRole(In):
    role: Role


class ChatOut(Out):
    """A conversation; `members` has the first 1,000 ids, the rest is paged."""

    id: int
    external_id: str | None
    name: str
    created_at: datetime
    last_seq: int
    retention_days: int | None
    """Days after which messages may be pruned; null means the server's own number."""
    role: Role | None
    """The caller's role; null for the service."""
    member_count: int
    members: list[int]


# The id of the last message (or 0) and the id of the conversation.
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}-[0-9]{1,18}$")]


class ChatPage(In):
    before: Cursor | None = None
    """The `next` of the previous page."""
    limit: Annotated[int, Field(ge=1, le=200, strict=False)] = 50


class ListedChat(Out):
    """A conversation in the list of one of its members."""

    id: int
    external_id: str | None
    name: str
    created_at: datetime
    last_seq: int
    role: Role
    read_seq: int
    unread: int
    """Messages after `read_seq` that are not deleted."""
    muted_until: datetime | None
    last_message: MessageOut | None


class Chats(Out):
    """The most recently active come first; `next` is null on the last page."""

    conversations: list[ListedChat]
    next: str | None


def listed_chat_out(listed: Listed) -> ListedChat:
    membership, external_id, message, sender, unread = listed
    is_muted = membership.muted_until is not None and membership.muted_until > utc_now()
    return ListedChat(
        id=membership.chat_id,
        external_id=external_id,
        name=membership.chat_name,
        created_at=membership.created_at,
        last_seq=membership.last_seq,
        role=membership.role,
        read_seq=membership.read_seq,
        unread=unread,
        muted_until=membership.muted_until if is_muted else None,
        last_message=message_out(message, sender) if message else None,
    )


def cursor_after(listed: Listed) -> str:
    activity = listed.last_message.id if listed.last_message else 0
    return f"{activity}-{listed.membership.chat_id}"


class MemberPage(In):
    after: Annotated[int, Field(ge=0, le=LARGEST_ID, strict=False)] = 0
    limit: Annotated[int, Field(ge=1, le=1000, strict=False)] = 100


class MemberOut(Out):
    id: int
    name: str
    avatar_url: str | None
    role: Role
    read_seq: int
    """The number of the last message that the member has read."""


class Members(Out):
    """Members, ordered by id."""

    members: list[MemberOut]
    has_more: bool


class Mute(In):
    until: Time | None
    """Null unmutes."""


class Muted(Out):
    muted_until: datetime | None
