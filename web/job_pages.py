"""The pages of a job: in progress, its result, its error.

They need no script: the page of a job in progress reloads itself, and redirects to the
result or the error when the job has ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from bottle import HTTPResponse
from sqlalchemy.orm import Session

from api import bodies, imports, job_reports, jobs, messages
from api.schemas.jobs import JobQuery
from api.schemas.messages import NewMessage
from datastore.outbox import failed_devices
from datastore.outbox import job_status as stored
from datastore.outbox.failed_devices import MOST_SHOWN
from datastore.outbox.job_status import JobStatus
from datastore.outbox.outcome_counts import ACCEPTED
from models.base import utc_now
from models.errors import Forbidden
from models.imports import ImportJob, Problem
from models.pushes import COMPLETED, FAILED, PROCESSING
from web.page_request import PageRequest, page, redirect
from web.session import OPERATOR_COOKIE, USER_COOKIE, set_cookie

RESULT, ERROR = "result", "error"
# The page of each final state.
OUTCOME_OF_STATE = {COMPLETED: RESULT, FAILED: ERROR}
NOTHING = "\N{EN DASH}"
REFRESH_S = 1
# A job that has taken a minute will hardly end within a second.
SLOW_REFRESH_S = 5
SLOW_AFTER_S = 60


class Cell(NamedTuple):
    """A cell of a table, which may be a link."""

    text: object
    href: str = ""


class Table(NamedTuple):
    """What did not succeed, and why; the last column is a number or a time."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A push or an import as the pages of jobs show it."""

    # The path of the page that shows its progress.
    path: str
    # Its kind and number, such as "Push 7".
    name: str
    state: str
    # What it counts: "device" or "row", and what happened to those that failed.
    unit: str
    missed: str
    succeeded: int
    failed: int
    # None until the job starts; what is said until then, and if there is nothing.
    total: int | None
    waits_for: str = ""
    empty: str
    created_at: datetime
    error: str | None = None
    notices: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = field(default=())
    tables: Sequence[Table] = field(default=())
    # Where its visitor goes from here: labels and addresses.
    links: Sequence[tuple[str, str]] = field(default=())
    # Where a form sends the job's number to have it tried again; empty if nobody may.
    retry: str = ""

    @property
    def outcome(self) -> str:
        """ "result" or "error"; empty while the job is in progress."""
        return OUTCOME_OF_STATE.get(self.state, "")

    @property
    def page_path(self) -> str:
        """The path of the page for its current state."""
        return f"{self.path}/{self.outcome}" if self.outcome else self.path

    @property
    def done(self) -> int:
        return self.succeeded + self.failed

    @property
    def look(self) -> str:
        """The class of the page: how well it went until now."""
        return "partly" if self.failed and self.state != FAILED else self.state

    @property
    def heading(self) -> str:
        if not self.outcome:
            return "In progress"
        if self.outcome == ERROR:
            return "Failed"
        if not self.failed:
            return "Done"
        verb = "was" if self.failed == 1 else "were"
        return f"Done, but {self.count(self.failed)} {verb} {self.missed}"

    @property
    def progress(self) -> str:
        """How far it has come, in words."""
        if self.total is None:
            return self.waits_for
        if not self.total:
            return self.empty
        text = f"{self.done:,} of {self.count(self.total)}"
        return f"{text}, {self.failed:,} of them {self.missed}" if self.failed else text

    def count(self, number: int) -> str:
        return f"{number:,} {self.unit}{'' if number == 1 else 's'}"


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
            tables = _tables_for_operators(session, status)
    else:
        tables = _tables_for_members(report)
    is_operator = context.is_service
    view = _push_view(status, tables, report.notices, is_operator=is_operator)
    return _show(request, view, outcome)


def upload(request: PageRequest, import_id: int, outcome: str = "") -> HTTPResponse:
    """Show the progress or the outcome of an import."""
    context = request.context()
    if not context.is_service:
        raise Forbidden("Sign in at the dashboard to see an import.")
    view = _import_view(*imports.find(context, import_id))
    return _show(request, view, outcome)


def try_again(request: PageRequest, job_id: int) -> HTTPResponse:
    """Push again to the devices that have not accepted, and lead to the job's page."""
    request.operator_form()
    due = failed_devices.try_again(request.app.store, job_id, utc_now())
    request.audit("try again", job=job_id, devices=due.devices)
    for each in due.jobs:
        request.app.dispatcher.dispatch(each)
    return redirect(f"/jobs/{job_id}")


def _show(request: PageRequest, view: JobView, outcome: str) -> HTTPResponse:
    """The requested page if it fits the job's state, else a redirect."""
    if view.outcome != outcome:
        return redirect(view.page_path)
    age_s = (utc_now() - view.created_at).total_seconds()
    refresh_s = REFRESH_S if age_s < SLOW_AFTER_S else SLOW_REFRESH_S
    return page(
        "job",
        job=view,
        title=f"{view.name}: {view.heading.lower()}",
        refresh_s=0 if outcome else refresh_s,
        key=request.sessions.csrf_token(request.cookie(OPERATOR_COOKIE)),
    )


def _tables_for_operators(session: Session, status: JobStatus) -> list[Table]:
    """The reasons in the words of the providers, and the devices with their owners."""
    reasons = [
        (Cell(outcome), Cell(reason or NOTHING), Cell(f"{number:,}"))
        for outcome, reason, number in stored.reasons(session, status.id)
    ]
    devices = [
        (
            Cell(each.device, f"/dashboard/devices/{each.device}" if each.user else ""),
            Cell(each.platform or "removed"),
            Cell(
                each.owner or NOTHING,
                f"/dashboard/users/{each.user}" if each.user else "",
            ),
            Cell(f"{each.outcome}: {each.reason}" if each.reason else each.outcome),
            Cell(_again(each.next_attempt_at)),
        )
        for each in failed_devices.of_jobs(session, status.shards)
    ]
    first = "The first devices" if len(devices) == MOST_SHOWN else "The devices"
    return [
        Table(
            "Why devices were not reached", ("Outcome", "Reason", "Devices"), reasons
        ),
        Table(first, ("Device", "Platform", "Owner", "Reason", "Next try"), devices),
    ]


def _tables_for_members(report: job_reports.Report) -> list[Table]:
    """Others' devices by platform, in our words; their own ones with the reasons."""
    outcomes = [
        (
            Cell(each.platform or "removed"),
            Cell(job_reports.MEANINGS[each.outcome]),
            Cell(f"{each.devices:,}"),
        )
        for each in report.outcomes
        if each.outcome != ACCEPTED
    ]
    own = [
        (
            Cell(f"{each.platform} {each.device}"),
            Cell(each.reason or each.outcome),
            Cell(_again(each.next_attempt_at)),
        )
        for each in report.failures
    ]
    return [
        Table(
            "Devices that were not reached", ("Platform", "Why", "Devices"), outcomes
        ),
        Table("Your own devices", ("Device", "Reason", "Next try"), own),
    ]


def _again(moment: datetime | None) -> str:
    if moment is None:
        return "none"
    return f"{moment:%H:%M:%S} UTC" if moment > utc_now() else "now"


def _push_view(
    status: JobStatus,
    tables: Sequence[Table],
    notices: Sequence[str],
    *,
    is_operator: bool,
) -> JobView:
    facts = [("Accepted", f"{status.accepted:,}"), ("Failed", f"{status.failed:,}")]
    if status.total is not None:
        facts.insert(0, ("Devices", f"{status.total:,}"))
    facts += _duration(status.created_at, status.finished_at)
    if status.request_id is not None:
        facts.append(("Request", status.request_id))
    may_retry = is_operator and any(table.rows for table in tables)
    # A notice about the same platform says more.
    platform = (status.error or "").partition(":")[0]
    is_said = any(notice.startswith(f"{platform} ") for notice in notices)
    return JobView(
        path=f"/jobs/{status.id}",
        name=f"Push {status.id}",
        state=status.state,
        unit="device",
        missed="not reached",
        succeeded=status.accepted,
        failed=status.failed,
        total=status.total,
        waits_for=_waits_for(status),
        empty="There was no device to push to",
        created_at=status.created_at,
        error=None if is_said else status.error,
        facts=facts,
        notices=notices,
        tables=[table for table in tables if table.rows],
        links=[("Dashboard", "/dashboard")] if is_operator else [("Start page", "/")],
        retry=f"/jobs/{status.id}/retry" if may_retry else "",
    )


def _waits_for(status: JobStatus) -> str:
    if status.state in OUTCOME_OF_STATE:
        return "No device was tried"
    if status.begins_at is not None:
        return f"Waiting until {status.begins_at:%d %b %Y %H:%M} UTC"
    if status.state == PROCESSING:
        return "Waiting for the first answers"
    return "Waiting for its turn"


def _import_view(job: ImportJob, problems: Sequence[Problem]) -> JobView:
    facts = [
        ("Rows", f"{job.total:,}"),
        ("Imported", f"{job.done:,}"),
        ("New or changed", f"{job.changed:,}"),
        ("Skipped", f"{job.failed:,}"),
    ]
    rows = [
        (Cell(one.line), Cell(one.message), Cell(one.field or NOTHING))
        for one in problems
    ]
    first = "The first skipped rows" if len(rows) < job.failed else "The skipped rows"
    return JobView(
        path=f"/imports/{job.id}",
        name=f"Import {job.id}",
        state=job.state,
        unit="row",
        missed="skipped",
        succeeded=job.done,
        failed=job.failed,
        total=job.total,
        empty="The file has no rows",
        created_at=job.created_at,
        error=job.error,
        facts=[*facts, *_duration(job.created_at, job.finished_at)],
        tables=[Table(first, ("Line", "Problem", "Field"), rows)] if rows else [],
        links=[("Import another file", "/imports"), ("Dashboard", "/dashboard")],
    )


def _duration(begin: datetime, end: datetime | None) -> list[tuple[str, str]]:
    if end is None:
        return []
    return [("Duration", f"{(end - begin).total_seconds():,.2f} s")]
