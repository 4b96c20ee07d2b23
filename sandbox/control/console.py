"""The console: inbox, statistics, controls, and the page of phones."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from sandbox.control import browsers, control
from sandbox.control.inbox import Inbox
from sandbox.control.push import Push
from sandbox.state import Sandbox
from sandbox.wire.exchange import JSON, EventualResponse, Headers, Request, Response

LONGEST_WAIT_S = 60.0
# A long list is written in parts, so that pushes are handled in between.
ROWS_PER_PART = 500
PHONES = Path(__file__).parents[1] / "phones"
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/phones.css": ("phones.css", "text/css; charset=utf-8"),
    "/phones.js": ("phones.js", "text/javascript; charset=utf-8"),
}
_COMMON: Headers = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
)
JSON_HEADERS: Headers = (*JSON, *_COMMON)
PAGE_HEADERS: Headers = (
    *_COMMON,
    ("referrer-policy", "no-referrer"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
# A plus sign that the caller has not escaped arrives as a space.
_ZONE = re.compile(r" (\d\d:?\d\d)$")


class BadQuery(Exception):
    """A query with an invalid value."""


def respond(sandbox: Sandbox, request: Request) -> EventualResponse:
    """Respond to a request for the console; the caller's errors become 4xx."""
    try:
        return _route(sandbox, request)
    except (BadQuery, control.BadControl, browsers.BadSubscription) as error:
        return _json({"error": str(error)}, 400)


def _route(sandbox: Sandbox, request: Request) -> EventualResponse:
    method = "GET" if request.method == "HEAD" else request.method
    handle = ROUTES.get((method, request.path))
    if handle is not None:
        return handle(sandbox, request)
    known = any(path == request.path for _, path in ROUTES)
    text = "method not allowed" if known else "no such address"
    return _json({"error": text}, 405 if known else 404)


class InboxQuery:
    """The query parameters of the inbox; raises BadQuery."""

    def __init__(self, text: str) -> None:
        self._values = {
            name: values[-1]
            for name, values in parse_qs(text, keep_blank_values=True).items()
        }
        self.token = self._values.get("token")
        self.all = self._values.get("all", "0") not in ("", "0", "false")
        self.by = self._values.get("by")
        self.limit = self._number("limit", None)
        self.wait_s = min(self._number("wait", 0) or 0, LONGEST_WAIT_S)
        self.after = 0
        self.since = 0.0
        self._read_since(self._values.get("since", ""))

    def matches(self, push: Push) -> bool:
        return (
            (self.all or push.reason is None)
            and (self.token is None or push.token == self.token)
            and push.arrived_at >= self.since
        )

    def _number(self, name: str, default: int | None) -> int | None:
        text = self._values.get(name)
        if text is None:
            return default
        if not text.isdecimal() or len(text) > 12:
            raise BadQuery(f"{name} must be a whole number, not {text!r}")
        return int(text)

    def _read_since(self, text: str) -> None:
        if not text:
            return
        if text.isdecimal() and len(text) <= 15:
            self.after = int(text)
            return
        try:
            moment = datetime.fromisoformat(_ZONE.sub(r"+\1", text))
        except ValueError:
            raise BadQuery(
                f"since must be a `seq` or an RFC 3339 time, not {text!r}"
            ) from None
        if moment.tzinfo is None:
            raise BadQuery("since must say its time zone, as in 2030-01-31T12:00:00Z")
        # Arrival times are finer than the microseconds that the inbox shows.
        self.since = moment.timestamp() - 1e-6


def _list(sandbox: Sandbox, request: Request) -> EventualResponse:
    return _list_pushes(sandbox.inbox, InboxQuery(request.query))


async def _list_pushes(inbox: Inbox, query: InboxQuery) -> Response:
    pushes = await _wait_for_pushes(inbox, query)
    rows = []
    for number, push in enumerate(pushes):
        rows.append(json.dumps(_row(push, query), ensure_ascii=False))
        if number % ROWS_PER_PART == 0:
            await asyncio.sleep(0)
    text = "[" + ",\n ".join(rows) + "]\n"
    last = ("x-inbox-last", str(inbox.last_seq))
    return Response(200, (*JSON_HEADERS, last), text.encode("utf-8", "replace"))


def _row(push: Push, query: InboxQuery) -> dict[str, Any]:
    row = push.as_json()
    if query.all:
        row |= {"status": push.status, "reason": push.reason}
    return row


async def _wait_for_pushes(inbox: Inbox, query: InboxQuery) -> list[Push]:
    """The matching pushes, as soon as there is one or the wait is over."""
    deadline = time.monotonic() + query.wait_s
    after = query.after
    while True:
        pushes = list(islice(inbox.pushes(query.matches, after), query.limit))
        left_s = deadline - time.monotonic()
        if pushes or left_s <= 0:
            return pushes
        after = max(after, inbox.last_seq)
        await inbox.wait_past(after, left_s)


def _clear(sandbox: Sandbox, request: Request) -> Response:
    sandbox.inbox.clear()
    return Response(204)


def _stats(sandbox: Sandbox, request: Request) -> Response:
    return _json(sandbox.counters.report())


def _rules(sandbox: Sandbox, request: Request) -> Response:
    return _json(control.show(sandbox))


def _control(sandbox: Sandbox, request: Request) -> Response:
    control.apply(sandbox, request)
    return _json(control.show(sandbox))


def _subscribe(sandbox: Sandbox, request: Request) -> Response:
    return _json(browsers.subscribe(sandbox, request), 201)


def _summary(sandbox: Sandbox, request: Request) -> Response:
    inbox, query = sandbox.inbox, InboxQuery(request.query)
    summary: dict[str, Any] = {
        "accepted": inbox.accepted,
        "refused": inbox.refused,
        "distinct": len(inbox.seen),
        "duplicates": inbox.duplicates,
    }
    if query.by == "token":
        summary["tokens"] = inbox.by_token()
    elif query.by == "push":
        summary["pushes"] = [
            [*key.split("\0"), count] for key, count in inbox.seen.items()
        ]
    elif query.by is not None:
        raise BadQuery("by must be token or push")
    return _json(summary)


def _page(sandbox: Sandbox, request: Request) -> Response:
    name, kind = PAGES[request.path]
    content = (PHONES / name).read_bytes()
    return Response(200, (("content-type", kind), *PAGE_HEADERS), content)


def _json(value: Any, status: int = 200) -> Response:
    body = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    return Response(status, JSON_HEADERS, body.encode())


ROUTES: dict[tuple[str, str], Callable[[Sandbox, Request], EventualResponse]] = {
    ("GET", "/inbox"): _list,
    ("DELETE", "/inbox"): _clear,
    ("GET", "/inbox/summary"): _summary,
    ("GET", "/stats"): _stats,
    ("GET", "/control"): _rules,
    ("POST", "/control"): _control,
    ("POST", "/subscriptions"): _subscribe,
    **{("GET", path): _page for path in PAGES},
}
