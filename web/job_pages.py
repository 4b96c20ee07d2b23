"""The pages of a job: on its way, its result, its error.

They need no script: a page that waits loads itself again, and an ended job leads on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bottle import HTTPResponse

from api import bodies, imports, jobs, messages
from api.schemas.jobs import JobQuery
from api.schemas.messages import NewMessage
from datastore.outbox import job_status as stored
from datastore.outbox.job_status import JobStatus
from models.base import utc_now
from models.errors import Forbidden
from models.imports import ImportJob, Problem
from models.pushes import COMPLETED, FAILED
from web.page_request import PageRequest, page, redirect
from web.session import USER_COOKIE, set_cookie

RESULT, ERROR = "result", "error"
ENDS = {COMPLETED: RESULT, FAILED: ERROR}
HEADINGS = {"": "On its way", RESULT: "Done", ERROR: "This failed"}
REFRESH_S = 1
# A job that has waited so long is not over in a second either.
SLOW_REFRESH_S = 5
SLOW_AFTER_S = 60


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as its pages show it; any kind of background work fits in."""

    # Its address, and its name and number.
    path: str
    name: str
    state: str
    # What it counts, in the plural.
    unit: str
    done: int
    # None as long as nobody knows.
    total: int | None
    created_at: datetime
    error: str | None = None
    facts: Sequence[tuple[str, str]] = field(default=())
    # Above the details of what went wrong, and the details.
    columns: tuple[str, str, str] = ("", "", "")
    problems: Sequence[tuple[object, str, object]] = field(default=())

    @property
    def end(self) -> str:
        """Which of its pages its state leads to; empty while it is on its way."""
        return ENDS.get(self.state, "")

    @property
    def address(self) -> str:
        """Where its story goes on."""
        return f"{self.path}/{self.end}" if self.end else self.path


def send(request: PageRequest) -> HTTPResponse:
    """A message from a form; the browser is led to the page of its job."""
    form = dict(request.form)
    token = form.pop("token", "")
    if not token:
        # Only the cookie speaks for the browser, and it is sent along by itself.
        request.check_origin()
    context = request.context(token)
    sent = messages.send(context, bodies.from_form(form, NewMessage))
    assert sent.body is not None  # noqa: S101 - a send always has an answer
    answer = redirect(sent.body.job.url)
    if token:
        set_cookie(answer, request.environ, USER_COOKIE, token)
    return answer


def query(request: PageRequest) -> HTTPResponse:
    """The button "Look again"."""
    wanted = bodies.from_form(request.form, JobQuery)
    return redirect(f"/jobs/{wanted.id}")


def push(request: PageRequest, job_id: int, end: str = "") -> HTTPResponse:
    status = jobs.visible(request.context(), job_id)
    with request.app.store.read() as session:
        reasons = stored.reasons(session, job_id)
    return _show(_push_view(status, reasons), end)


def upload(request: PageRequest, import_id: int, end: str = "") -> HTTPResponse:
    context = request.context()
    if not context.is_service:
        raise Forbidden("An import is for those who sign in at the dashboard.")
    return _show(_import_view(*imports.find(context, import_id)), end)


def _show(view: JobView, end: str) -> HTTPResponse:
    """The page that was asked for, if it is the one that the state leads to."""
    if view.end != end:
        return redirect(view.address)
    heading = HEADINGS[end]
    title = f"{view.name}: {heading.lower()}"
    age_s = (utc_now() - view.created_at).total_seconds()
    refresh_s = REFRESH_S if age_s < SLOW_AFTER_S else SLOW_REFRESH_S
    return page(
        "job",
        job=view,
        heading=heading,
        title=title,
        refresh_s=0 if end else refresh_s,
    )


def _push_view(status: JobStatus, reasons: Sequence[tuple[str, str, int]]) -> JobView:
    facts = [("Accepted", f"{status.accepted:,}"), ("Failed", f"{status.failed:,}")]
    if status.total is not None:
        facts.insert(0, ("Devices", f"{status.total:,}"))
    return JobView(
        path=f"/jobs/{status.id}",
        name=f"Push {status.id}",
        state=status.state,
        unit="devices",
        done=status.accepted + status.failed,
        total=status.total,
        created_at=status.created_at,
        error=status.error,
        facts=[*facts, *_duration(status.created_at, status.finished_at)],
        columns=("Not accepted", "Reason", "Devices"),
        problems=[(kind, reason, f"{n:,}") for kind, reason, n in reasons],
    )


def _import_view(job: ImportJob, problems: Sequence[Problem]) -> JobView:
    facts = [
        ("Rows", f"{job.total:,}"),
        ("In place", f"{job.done:,}"),
        ("New or changed", f"{job.changed:,}"),
        ("Left out", f"{job.failed:,}"),
    ]
    return JobView(
        path=f"/imports/{job.id}",
        name=f"Import {job.id}",
        state=job.state,
        unit="rows",
        done=job.done + job.failed,
        total=job.total,
        created_at=job.created_at,
        error=job.error,
        facts=[*facts, *_duration(job.created_at, job.finished_at)],
        columns=("Line", "Problem", "Field"),
        problems=[(one.line, one.message, one.field) for one in problems],
    )


def _duration(begin: datetime, end: datetime | None) -> list[tuple[str, str]]:
    if end is None:
        return []
    return [("Took", f"{(end - begin).total_seconds():,.2f} s")]
