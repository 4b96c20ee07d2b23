"""Schemas of the deletions of users."""

from datetime import datetime
from typing import Literal

from api.schemas import In, Out
from api.schemas.messages import JobLink

Texts = Literal["erase", "keep"]


class DeletedUser(In):
    texts: Texts = "erase"
    """Whether the user's messages are erased, or kept under the name "Deleted user"."""


class StartedDeletion(Out):
    deletion: JobLink


class Deletion(Out):
    """The progress of the deletion of a user."""

    id: int
    user_id: int
    state: Literal["queued", "processing", "completed"]
    texts: Texts
    tokens: int
    """How many API tokens are gone."""
    devices: int
    memberships: int
    messages: int
    """Messages whose texts have been erased."""
    created_at: datetime
    finished_at: datetime | None
    error: str | None
    """Why it cannot go on at the moment; it is tried again."""
