"""What a log line is about: the request that a thread answers, the job of a task."""

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
job_id: ContextVar[int | None] = ContextVar("job_id", default=None)
# The attribute of a record about a job that another task works on.
JOB = "bottlepost_job"
# The requests of the jobs that this process works on.
requests: dict[int | None, str | None] = {}


def begin_job(number: int, request: str | None) -> None:
    """All that this task logs from now on is about a job."""
    job_id.set(number)
    request_id.set(request)
