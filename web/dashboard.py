"""The dashboard: statistics, and a test push."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from bottle import HTTPResponse

from datastore import metrics, provider_troubles, sample_push, statistics
from models.base import utc_now
from models.errors import Invalid
from web import dashboard_figures, login_page
from web.page_request import PageRequest, page, redirect
from web.plots import TimeAxis
from web.session import OPERATOR_COOKIE

REFRESH_S = 30
LARGEST_ID_DIGITS = 18


class Span(NamedTuple):
    """A time range of the dashboard, divided into intervals."""

    name: str
    interval: timedelta
    intervals: int
    # The axis has a label at one interval in this many.
    every: int

    def begin(self, now: datetime) -> datetime:
        """The start of the first interval, rounded so that intervals stay fixed."""
        interval_s = int(self.interval.total_seconds())
        last_s = int(now.timestamp()) // interval_s * interval_s
        last = datetime.fromtimestamp(last_s, now.tzinfo)
        return last - self.interval * (self.intervals - 1)

    def axis(self, begin: datetime) -> TimeAxis:
        starts = (begin + self.interval * number for number in range(self.intervals))
        return TimeAxis([f"{start:%H:%M}" for start in starts], self.every)


SPANS = {
    "hour": Span("Last hour", timedelta(minutes=1), 60, 10),
    "day": Span("Last day", timedelta(minutes=30), 48, 8),
}


def show(request: PageRequest) -> HTTPResponse:
    """The dashboard, or the login form."""
    if not request.is_operator:
        return login_page.form()
    query = parse_qs(request.environ.get("QUERY_STRING", ""))
    chosen = query.get("span", ["hour"])[0]
    span = SPANS.get(chosen, SPANS["hour"])
    is_paused = "still" in query
    now = utc_now()
    since = span.begin(now)
    data: dict[str, Any] = {}
    with request.app.store.read() as session:
        first = statistics.first_job_since(session, since)
        buckets = statistics.over_time(session, first, since, span.interval)
        delays = statistics.delays(session, first, since, span.interval)
        data |= {
            "queue": statistics.queue(session, now),
            "oldest_due_s": metrics.oldest_due_age_s(session, now),
            "rates": metrics.rates(session, now),
            "outcomes": statistics.outcomes(session, first),
            "jobs": statistics.failing_jobs(session, first),
            "devices": statistics.failing_devices(session, first),
            "troubles": provider_troubles.find_all(session),
        }
    return page(
        "dashboard",
        title="Dashboard",
        refresh_s=0 if is_paused else REFRESH_S,
        now=now,
        spans=SPANS,
        chosen=chosen,
        is_paused=is_paused,
        seconds=_seconds,
        figures=dashboard_figures.draw(span.axis(since), buckets, delays),
        slots=request.app.slots() if request.app.slots else None,
        key=request.sessions.csrf_token(request.cookie(OPERATOR_COOKIE)),
        **data,
    )


def _seconds(value: float) -> str:
    """With its unit, which stays in the number's line."""
    if value < 1:
        words = f"{value * 1000:.0f} ms"
    else:
        words = f"{value:.1f} s" if value < 100 else f"{value / 60:,.0f} min"
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def test_push(request: PageRequest) -> HTTPResponse:
    """Send a test push to all devices of a user, given by a user or device id."""
    form = request.operator_form()
    number = form.get("number", "").strip()
    is_number = number.isascii() and number.isdigit()
    if not is_number or len(number) > LARGEST_ID_DIGITS:
        raise Invalid("The id must be a number.")
    with request.app.store.write() as session:
        user_id = int(number)
        if form.get("kind") == "device":
            user_id = sample_push.owner_of(session, int(number))
        job_id = sample_push.send(session, user_id, utc_now(), request.origin)
    request.audit("test push", user=user_id, job=job_id)
    request.app.dispatcher.dispatch(job_id)
    return redirect(f"/jobs/{job_id}")
