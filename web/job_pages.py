"""The pages of a job: in progress, its result, its error.

They need no script: the page of a job in progress reloads itself, and redirects to the
result or the error when the job has ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bottle import HTTPResponse

from api import bodies, imports, job_reports, jobs, messages
from api.schemas.jobs import JobQuery
from api.schemas.messages import NewMessage
from datastore.outbox import job_status as stored
from datastore.outbox.job_status import JobStatus
from datastore.outbox.outcome_counts import ACCEPTED
from models.base import utc_now
from models.errors import Forbidden
from models.imports import ImportJob, Problem
from models.pushes import COMPLETED, FAILED
from web.page_request import PageRequest, page, redirect
from web.session import USER_COOKIE, set_cookie

RESULT, ERROR = "result", "error"
# The page of each final state.
OUTCOME_OF_STATE = {COMPLETED: RESULT, FAILED: ERROR}
# The columns of problems, for operators and for members.
REASONS = ("Not accepted", "Reason", "Devices")
OUTCOMES = ("Not accepted", "Platform", "Devices")
HEADINGS = {"": "In progress", RESULT: "Done", ERROR: "Failed"}
REFRESH_S = 1
# A job that has taken a minute will hardly end within a second.
SLOW_REFRESH_S = 5
SLOW_AFTER_S = 60


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A push or an import as the pages of jobs show it."""

    # The path of the page that shows its progress.
    path: str
    # Its kind and number, such as "Push 7".
    name: str
    state: str
    # The plural of what it counts: "devices" or "rows".
    unit: str
    done: int
    # None until the job starts.
    total: int | None
    created_at: datetime
    error: str | None = None
    notices: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = field(default=())
    # The table of problems: its headings and its rows.
    columns: tuple[str, str, str] = ("", "", "")
    problems: Sequence[tuple[object, str, object]] = field(default=())

    @property
    def outcome(self) -> str:
        """ "result" or "error"; empty while the job is in progress."""
        return OUTCOME_OF_STATE.get(self.state, "")

    @property
    def page_path(self) -> str:
        """The path of the page for its current state."""
        return f"{self.path}/{self.outcome}" if self.outcome else self.path


def send(request: PageRequest) -> HTTPResponse:
    """Send a message from a form, and redirect to the page of its job."""
    form = dict(request.form)
    token = form.pop("token", "")
    if not token:
        # The browser sends its cookie with any form, so check where this one is from.
        request.check_origin()
    context = request.context(token)
    if context.is_service:
        # The service sends through the API, where it names the sender.
        raise Forbidden("This needs the token of a user.")
    sent = messages.send(context, bodies.from_form(form, NewMessage))
    assert sent.body is not None  # noqa: S101 - a send always has a body
    answer = redirect(f"/jobs/{sent.body.job.id}")
    # Another site must not sign anybody in as the user whose token it has. The browser
    # does not tell whether somebody is signed in: with such a form it sends no cookie.
    if token and request.is_from_our_site:
        set_cookie(answer, request.environ, USER_COOKIE, token)
    return answer


def query(request: PageRequest) -> HTTPResponse:
    """Handle the button "Check again": redirect to the page of the job."""
    wanted = bodies.from_form(request.form, JobQuery)
    return redirect(f"/jobs/{wanted.id}")


def push(request: PageRequest, job_id: int, outcome: str = "") -> HTTPResponse:
    """Show the progress or the outcome of a push."""
    context = request.context()
    status, report = jobs.find_with_report(context, job_id)
    if context.is_service:
        with request.app.store.read() as session:
            columns, problems = REASONS, stored.reasons(session, job_id)
    else:
        columns, problems = OUTCOMES, _in_words(report)
    return _show(_push_view(status, columns, problems, report.notices), outcome)


def _in_words(report: job_reports.Report) -> list[tuple[str, str, int]]:
    """What members read in place of a provider's reasons."""
    return [
        (job_reports.MEANINGS[each.outcome], each.platform or "", each.devices)
        for each in report.outcomes or ()
        if each.outcome != ACCEPTED
    ]


def upload(request: PageRequest, import_id: int, outcome: str = "") -> HTTPResponse:
    """Show the progress or the outcome of an import."""
    context = request.context()
    if not context.is_service:
        raise Forbidden("Sign in at the dashboard to see an import.")
    return _show(_import_view(*imports.find(context, import_id)), outcome)


def _show(view: JobView, outcome: str) -> HTTPResponse:
    """The requested page if it fits the job's state, else a redirect."""
    if view.outcome != outcome:
        return redirect(view.page_path)
    heading = HEADINGS[outcome]
    title = f"{view.name}: {heading.lower()}"
    age_s = (utc_now() - view.created_at).total_seconds()
    refresh_s = REFRESH_S if age_s < SLOW_AFTER_S else SLOW_REFRESH_S
    return page(
        "job",
        job=view,
        heading=heading,
        title=title,
        refresh_s=0 if outcome else refresh_s,
    )


def _push_view(
    status: JobStatus,
    columns: tuple[str, str, str],
    problems: Sequence[tuple[str, str, int]],
    notices: Sequence[str],
) -> JobView:
    facts = [("Accepted", f"{status.accepted:,}"), ("Failed", f"{status.failed:,}")]
    if status.total is not None:
        facts.insert(0, ("Devices", f"{status.total:,}"))
    if status.request_id is not None:
        facts.append(("Request", status.request_id))
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
        columns=columns,
        problems=[(subject, detail, f"{n:,}") for subject, detail, n in problems],
        notices=notices,
    )


def _import_view(job: ImportJob, problems: Sequence[Problem]) -> JobView:
    facts = [
        ("Rows", f"{job.total:,}"),
        ("Imported", f"{job.done:,}"),
        ("New or changed", f"{job.changed:,}"),
        ("Skipped", f"{job.failed:,}"),
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
    return [("Duration", f"{(end - begin).total_seconds():,.2f} s")]
