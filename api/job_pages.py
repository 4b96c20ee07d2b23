"""The pages of a job: on its way, its result, its error.

They need no script: a page that waits loads itself again, and an ended job leads on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bottle import HTTPResponse

from api import bodies, groupchat, jobs
from api.schemas.groupchat import NewMessage
from api.schemas.jobs import JobQuery
from api.session import USER_COOKIE, set_cookie
from api.visit import Visit, page, redirect
from datastore import jobs as stored
from datastore.jobs import JobStatus
from models.base import utc_now
from models.pushes import COMPLETED, FAILED

REFRESH_S = 1
# A job that has waited so long is not over in a second either.
SLOW_REFRESH_S = 5
SLOW_AFTER_S = 60


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as its pages show it; any kind of background work fits in."""

    id: int
    name: str
    state: str
    # What it counts, in the plural.
    unit: str
    done: int
    # None as long as nobody knows.
    total: int | None
    created_at: datetime
    error: str | None = None
    waiting: str = "Waiting for its turn"
    facts: Sequence[tuple[str, str]] = field(default=())
    # Kind, the provider's reason, how many.
    reasons: Sequence[tuple[str, str, int]] = field(default=())

    @property
    def is_ended(self) -> bool:
        return self.state in (COMPLETED, FAILED)

    @property
    def address(self) -> str:
        """Where its story goes on."""
        ends = {COMPLETED: "/result", FAILED: "/error"}
        return f"/jobs/{self.id}{ends.get(self.state, '')}"


def send(visit: Visit) -> HTTPResponse:
    """A message from a form; the browser is led to the page of its job."""
    form = visit.form()
    token = form.pop("token", "")
    if not token:
        # Only the cookie speaks for the browser, and it is sent along by itself.
        visit.check_origin()
    call = visit.call(token)
    sent = groupchat.send(call, bodies.from_form(form, NewMessage))
    assert sent.body is not None  # noqa: S101 - a send always has an answer
    answer = redirect(sent.body.job.url)
    if token:
        set_cookie(answer, visit.environ, USER_COOKIE, token)
    return answer


def query(visit: Visit) -> HTTPResponse:
    """The button "Look again"."""
    wanted = bodies.from_form(visit.form(), JobQuery)
    return redirect(f"/jobs/{wanted.id}")


def progress(visit: Visit, job_id: int) -> HTTPResponse:
    view = find(visit, job_id)
    if view.is_ended:
        return redirect(view.address)
    age_s = (utc_now() - view.created_at).total_seconds()
    refresh_s = REFRESH_S if age_s < SLOW_AFTER_S else SLOW_REFRESH_S
    return _page(view, "On its way", refresh_s=refresh_s)


def result(visit: Visit, job_id: int) -> HTTPResponse:
    view = find(visit, job_id)
    if view.state != COMPLETED:
        return redirect(view.address)
    return _page(view, "Done")


def error(visit: Visit, job_id: int) -> HTTPResponse:
    view = find(visit, job_id)
    if view.state != FAILED:
        return redirect(view.address)
    return _page(view, "This failed")


def find(visit: Visit, job_id: int) -> JobView:
    """The job, if the browser's user may see it. Other kinds of jobs are asked here."""
    status = jobs.visible(visit.call(), job_id)
    with visit.house.store.read() as session:
        reasons = stored.reasons(session, job_id)
    return _push_view(status, reasons)


def _push_view(status: JobStatus, reasons: Sequence[tuple[str, str, int]]) -> JobView:
    counted = status.total is not None
    facts = [("Accepted", f"{status.accepted:,}"), ("Failed", f"{status.failed:,}")]
    if counted:
        facts.insert(0, ("Devices", f"{status.total:,}"))
    if status.finished_at is not None:
        took_s = (status.finished_at - status.created_at).total_seconds()
        facts.append(("Took", f"{took_s:,.2f} s"))
    return JobView(
        id=status.id,
        name=f"Push {status.id}",
        state=status.state,
        unit="devices",
        done=status.accepted + status.failed,
        total=status.total,
        created_at=status.created_at,
        error=status.error,
        facts=facts,
        reasons=reasons,
    )


def _page(view: JobView, heading: str, **more: Any) -> HTTPResponse:
    title = f"{view.name}: {heading.lower()}"
    return page("job", job=view, heading=heading, title=title, **more)
