"""The desk: inbox, statistics, controls, and the page with the phones."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from sandbox import control
from sandbox.exchange import JSON, Answer, Headers, Reply, Request
from sandbox.push import Push

if TYPE_CHECKING:
    from sandbox.site import Site

LONGEST_WAIT_S = 60.0
PHONES = Path(__file__).with_name("phones")
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/phones.css": ("phones.css", "text/css; charset=utf-8"),
    "/phones.js": ("phones.js", "text/javascript; charset=utf-8"),
}
PAGE_HEADERS: Headers = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


class BadQuery(Exception):
    """The caller asked for something that cannot be."""


def answer(site: "Site", request: Request) -> Reply:
    """The answer of the desk; the caller's mistakes become 4xx."""
    try:
        return _route(site, request)
    except (BadQuery, control.BadControl) as bad:
        return _json({"error": str(bad)}, 400)


def _route(site: "Site", request: Request) -> Reply:
    method, path = request.method, request.path
    if path in PAGES and method in ("GET", "HEAD"):
        return _page(path)
    if path == "/inbox" and method == "GET":
        return _list(site, Query(request.query))
    if path == "/inbox" and method == "DELETE":
        site.inbox.clear()
        return Answer(204)
    if path == "/inbox/summary" and method == "GET":
        return _json(_summary(site, Query(request.query)))
    if path == "/stats" and method == "GET":
        return _json(site.counters.report())
    if path == "/control" and method == "GET":
        return _json(control.show(site))
    if path == "/control" and method == "POST":
        control.apply(site, request)
        return _json(control.show(site))
    known = path in PAGES or path in ("/inbox", "/inbox/summary", "/stats", "/control")
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
            moment = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            raise BadQuery(
                f"since must be a `seq` or an RFC 3339 time, not {text!r}"
            ) from None
        if moment.tzinfo is None:
            raise BadQuery("since must say its time zone, as in 2030-01-31T12:00:00Z")
        self.since = moment.timestamp()


async def _list(site: "Site", query: Query) -> Answer:
    pushes = list(_found(site, query))
    if not pushes and query.wait_s:
        await site.inbox.wait_past(query.after, query.wait_s)
        pushes = list(_found(site, query))
    rows = []
    for push in pushes:
        row = push.as_json()
        if query.all:
            row |= {"status": push.status, "reason": push.reason}
        rows.append(json.dumps(row, ensure_ascii=False))
    text = "[" + ",\n ".join(rows) + "]\n"
    return Answer(200, (*JSON, *PAGE_HEADERS[:2]), text.encode("utf-8", "replace"))


def _found(site: "Site", query: Query) -> Iterator[Push]:
    return islice(site.inbox.pushes(query.wants, query.after), query.limit)


def _summary(site: "Site", query: Query) -> dict[str, Any]:
    inbox = site.inbox
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
    return summary


def _page(path: str) -> Answer:
    name, kind = PAGES[path]
    content = (PHONES / name).read_bytes()
    return Answer(200, (("content-type", kind), *PAGE_HEADERS), content)


def _json(value: Any, status: int = 200) -> Answer:
    body = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    return Answer(status, (*JSON, *PAGE_HEADERS[:2]), body.encode())
