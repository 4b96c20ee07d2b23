"""Schemas of imports and of the rows in their files."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas import In, Key, Name, Out
from api.schemas.accounts import AvatarUrl, NewDevice
from api.schemas.chats import Role
from api.schemas.messages import JobLink


class UserRow(In):
    type: Literal["user"]
    external_id: Key
    name: Name
    avatar_url: AvatarUrl | None = None
    """A row without it leaves the user's as it is."""


class ConversationRow(In):
    type: Literal["conversation"]
    external_id: Key
    name: Name


class DeviceRow(NewDevice):
    type: Literal["device"]
    user: Key


class MemberRow(In):
    type: Literal["member"]
    conversation: Key
    user: Key
    role: Role = "member"


AnyRow = Annotated[
    UserRow | ConversationRow | DeviceRow | MemberRow, Field(discriminator="type")
]
COLUMNS = frozenset(
    name
    for row in (UserRow, ConversationRow, DeviceRow, MemberRow)
    for name in row.model_fields
)


class Started(Out):
    job: JobLink


class ProblemOut(Out):
    """A line that was skipped; `field` is empty if the whole line is invalid."""

    line: int
    field: str
    message: str


class Import(Out):
    """The progress of an import, in rows."""

    id: int
    state: Literal["queued", "processing", "completed", "failed"]
    total: int
    done: int
    changed: int
    """The done rows that were new or changed something."""
    failed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    errors: list[ProblemOut]
    """The first 500 bad lines."""
