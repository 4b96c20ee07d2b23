"""Schemas of jobs."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas import Id, In, Out

OutcomeWord = Literal[
    "accepted",
    "unregistered",
    "not_taken",
    "refused",
    "waiting",
    "given_up",
    "not_set_up",
]


class OutcomeCount(Out):
    """How many devices of a platform ended alike."""

    platform: str | None = Field(
        description="null if it is not known, as for devices that were never read."
    )
    outcome: OutcomeWord
    devices: int


class Failure(Out):
    """A device that has not accepted the push."""

    device: int
    user: int | None = Field(description="null if the device has been removed since.")
    platform: str | None
    outcome: str = Field(description="The outcome, in the terms of the notifier.")
    reason: str = Field(description="The provider's own words.")
    attempts: int
    next_attempt_at: datetime | None = Field(
        description="When it is tried again; null if it is not."
    )


class Job(Out):
    """The progress of a push, in devices; the total is unknown until it starts."""

    id: int
    state: Literal["queued", "processing", "completed", "failed"]
    total: int | None
    accepted: int
    failed: int
    pending: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    # Of the request that has added the job: X-Request-Id.
    request_id: str | None
    outcomes: list[OutcomeCount] = Field(
        description="Devices by platform and outcome, without those that were not "
        "tried yet."
    )
    failures: list[Failure] = Field(
        description="Up to 100 devices that have not accepted: those of the caller, "
        "or any with the service key."
    )
    next_failures: str | None = Field(
        description="The `after` with which `failures` goes on; null if no more follow."
    )
    notices: list[str] = Field(
        description="What the members should know, such as a platform that is not "
        "set up on this server."
    )


class FailureQuery(In):
    after: Annotated[str, Field(pattern=r"^[0-9]{1,18}-[0-9]{1,18}$")] | None = None
    """Where `failures` goes on: the `next_failures` of the page before."""


class JobQuery(In):
    id: Id
