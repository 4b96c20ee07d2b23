"""The desk: inbox, statistics, controls, and the page with the phones."""

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

from sandbox.control import control
from sandbox.control.inbox import Inbox
from sandbox.control.push import Push
from sandbox.state import Sandbox
from sandbox.wire.exchange import JSON, Answer, Headers, Reply, Request

LONGEST_WAIT_S = 60.0
# Pushes go on while a long list is written.
ROWS_PER_TURN = 500
PHONES = Path(__file__).parents[1] / "phones"
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/phones.css": ("phones.css", "text/css; charset=utf-8"),
    "/phones.js": ("phones.js", "text/javascript; charset=utf-8"),
}
_SAFE: Headers = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))
PLAIN: Headers = (*JSON, *_SAFE)
PAGE_HEADERS: Headers = (
    *_SAFE,
    ("referrer-policy", "no-referrer"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


_ZONE = re.compile(r" (\d\d:?\d\d)$")


class BadQuery(Exception):
    """The caller asked for something that cannot be."""


def answer(sandbox: Sandbox, request: Request) -> Reply:
    """The answer of the desk; the caller's mistakes become 4xx."""
    try:
        return _route(sandbox, request)
    except (BadQuery, control.BadControl) as bad:
        return _json({"error": str(bad)}, 400)


def _route(sandbox: Sandbox, request: Request) -> Reply:
    method = "GET" if request.method == "HEAD" else request.method
    act = ROUTES.get((method, request.path))
    if act is not None:
        return act(sandbox, request)
    known = any(path == request.path for _, path in ROUTES)
    text = "method not allowed" if known else "no such address"
    return _json({"error": text}, 405 if known else 404)


class Query:
    """The query of an inbox address; raises BadQuery for what it cannot read."""

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

    def wants(self, push: Push) -> bool:
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
            # A plus sign that nobody has escaped arrives as a space.
            moment = datetime.fromisoformat(_ZONE.sub(r"+\1", text))
        except ValueError:
            raise BadQuery(
                f"since must be a `seq` or an RFC 3339 time, not {text!r}"
            ) from None
        if moment.tzinfo is None:
            raise BadQuery("since must say its time zone, as in 2030-01-31T12:00:00Z")
        # Times are written to the microsecond, and kept finer than that.
        self.since = moment.timestamp() - 1e-6


def _list(sandbox: Sandbox, request: Request) -> Reply:
    return _write_list(sandbox.inbox, Query(request.query))


async def _write_list(inbox: Inbox, query: Query) -> Answer:
    pushes = await _found(inbox, query)
    rows = []
    for number, push in enumerate(pushes):
        rows.append(json.dumps(_row(push, query), ensure_ascii=False))
        if number % ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
    text = "[" + ",\n ".join(rows) + "]\n"
    last = ("x-inbox-last", str(inbox.last_seq))
    return Answer(200, (*PLAIN, last), text.encode("utf-8", "replace"))


def _row(push: Push, query: Query) -> dict[str, Any]:
    row = push.as_json()
    if query.all:
        row |= {"status": push.status, "reason": push.reason}
    return row


async def _found(inbox: Inbox, query: Query) -> list[Push]:
    """The pushes asked for, as soon as there is one or the time to wait is over."""
    deadline = time.monotonic() + query.wait_s
    after = query.after
    while True:
        pushes = list(islice(inbox.pushes(query.wants, after), query.limit))
        left_s = deadline - time.monotonic()
        if pushes or left_s <= 0:
            return pushes
        after = max(after, inbox.last_seq)
        await inbox.wait_past(after, left_s)


def _clear(sandbox: Sandbox, request: Request) -> Answer:
    sandbox.inbox.clear()
    return Answer(204)


def _stats(sandbox: Sandbox, request: Request) -> Answer:
    return _json(sandbox.counters.report())


def _rules(sandbox: Sandbox, request: Request) -> Answer:
    return _json(control.show(sandbox))


def _control(sandbox: Sandbox, request: Request) -> Answer:
    control.apply(sandbox, request)
    return _json(control.show(sandbox))


def _summary(sandbox: Sandbox, request: Request) -> Answer:
    inbox, query = sandbox.inbox, Query(request.query)
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


def _page(sandbox: Sandbox, request: Request) -> Answer:
    name, kind = PAGES[request.path]
    content = (PHONES / name).read_bytes()
    return Answer(200, (("content-type", kind), *PAGE_HEADERS), content)


def _json(value: Any, status: int = 200) -> Answer:
    body = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    return Answer(status, PLAIN, body.encode())


ROUTES: dict[tuple[str, str], Callable[[Sandbox, Request], Reply]] = {
    ("GET", "/inbox"): _list,
    ("DELETE", "/inbox"): _clear,
    ("GET", "/inbox/summary"): _summary,
    ("GET", "/stats"): _stats,
    ("GET", "/control"): _rules,
    ("POST", "/control"): _control,
    **{("GET", path): _page for path in PAGES},
}
