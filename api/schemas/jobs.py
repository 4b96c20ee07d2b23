"""Schemas of jobs."""

from datetime import datetime
from typing import Literal

from api.schemas import Id, In, Out


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


class JobQuery(In):
    id: Id
