"""The sample message of a preview: a built-in one, or that of a file."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.base import utc_now
from models.kinds import find
from models.pushes import Notification

LONGEST_TEXT = 4000
AN_ID = 2**63 - 1
Name = Annotated[str, Field(max_length=200)]
Id = Annotated[int, Field(ge=1, le=AN_ID)]


class Part(BaseModel):
    """A part of the file; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleSender(Part):
    id: Id = 1
    external_id: Name | None = None
    name: Name = "Ada Lovelace"
    avatar_url: Annotated[str, Field(max_length=1000)] | None = None


class SampleConversation(Part):
    id: Id = 7
    external_id: Name | None = None
    name: Name = "Harbour"
    members: Annotated[int, Field(ge=1, le=1_000_000)] = 5


class SampleMessage(Part):
    """What a file may say; all of it has a default."""

    id: Id = 1234
    seq: Id = 42
    sender: SampleSender = SampleSender()
    conversation: SampleConversation = SampleConversation()
    message: Annotated[str, Field(max_length=LONGEST_TEXT)] = (
        "Ship ahoy! Who is on watch tonight?"
    )
    data: dict[str, Annotated[str, Field(max_length=LONGEST_TEXT)]] = {}
    # What the service sets for this message alone.
    notification: dict[str, Any] | None = None
    silent: bool = False
    # The unread messages of the device's owner.
    badge: Annotated[int, Field(ge=0, le=AN_ID)] = 3
    ttl: Annotated[int, Field(ge=0)] = 28 * 24 * 3600


def read(content: str | bytes) -> SampleMessage:
    """The sample message of a file; raises ValueError naming what is wrong."""
    try:
        return SampleMessage.model_validate_json(content)
    except ValidationError as refused:
        first = refused.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{field}: {first['msg']}") from None


def notification(
    sample: SampleMessage, kinds: dict[str, dict[str, Any]], kind: str
) -> Notification:
    """The sample as the engine gets it."""
    definition, of_mentions = find(kinds, kind)
    now = utc_now()
    return Notification(
        job_id=0,
        message_id=sample.id,
        chat_id=sample.conversation.id,
        chat_name=sample.conversation.name,
        seq=sample.seq,
        sender_name=sample.sender.name,
        text=sample.message,
        data=sample.data,
        silent=sample.silent,
        created_at=now,
        expires_at=now + timedelta(seconds=sample.ttl),
        sender_id=sample.sender.id,
        sender_external_id=sample.sender.external_id,
        sender_avatar=sample.sender.avatar_url,
        chat_external_id=sample.conversation.external_id,
        is_group=sample.conversation.members > 2,
        members=sample.conversation.members,
        definition=definition,
        mention_definition=of_mentions,
        changes=sample.notification,
    )
