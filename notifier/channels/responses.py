"""Reading the responses of providers: JSON bodies of any quality, and Retry-After."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from notifier.http2 import Response
from notifier.outcome import Kind, Outcome
from notifier.retry_delays import RETRY_AFTER_MAX_S, RETRY_AFTER_MIN_S

# Refusals of a moment, whether they come with a Retry-After or not: not acceptable (an
# older throttle of Microsoft's), timeout, conflict, misdirected, locked, too early, too
# many, and nginx' "client closed request".
PASSING = frozenset({406, 408, 409, 421, 423, 425, 429, 499})
# The body, the address or the headers are too large. This is final, even if a proxy
# says it.
TOO_LARGE = frozenset({413, 414, 431})

Headers = tuple[tuple[str, str], ...]


def json_object(body: bytes) -> Mapping[str, Any]:
    """The body's object; an empty one when it is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under that name; an empty one when there is none."""
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def members(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of the list under that name."""
    inner = value.get(name)
    return [e for e in inner if isinstance(e, dict)] if isinstance(inner, list) else []


def string(value: Mapping[str, Any], name: str) -> str:
    """The string under that name, or an empty one."""
    inner = value.get(name)
    return inner if isinstance(inner, str) else ""


def retry_after_s(headers: Headers, now: datetime) -> float | None:
    """The pause that Retry-After asks for as seconds or as a date, clamped."""
    value = next((v.strip() for k, v in headers if k == "retry-after"), "")
    if value.isdecimal():
        # More digits could overflow a float; no provider means them.
        seconds = float(value[:9])
    else:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, IndexError, OverflowError):
            return None
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)


def is_plausible(status: int, kind: Kind | None) -> bool:
    """Whether a reason of this kind fits the status.

    If not, a proxy or a load balancer has responded in place of the provider.
    """
    return kind is not None and (
        400 <= status < 500 or (status >= 500 and kind is not Kind.GONE)
    )


def is_page(response: Response) -> bool:
    """Whether it is a page for people: a proxy has responded, not the provider."""
    return response.body.lstrip()[:1] == b"<"


def by_status(response: Response, reason: str) -> Outcome:
    """The outcome of a push whose response carries no reason we know."""
    status = response.status
    reason = reason or f"status {status}"
    if status in TOO_LARGE:
        return Outcome(Kind.REFUSED, reason)
    if not is_page(response):
        if status in (401, 403):
            return Outcome(Kind.CREDENTIALS, reason)
        if 400 <= status < 500 and status not in PASSING:
            return Outcome(Kind.REFUSED, reason)
    # Other successes, redirects and the like come from a proxy in between and not from
    # the provider: nothing was delivered, and a retry may help.
    return Outcome(Kind.LATER, reason)
