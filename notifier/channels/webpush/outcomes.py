"""The responses of push services, as outcomes of a push."""

import html
import re

from models.base import utc_now
from models.pushes import Target
from notifier.channels import responses
from notifier.http2 import Response
from notifier.outcome import ACCEPTED, Kind, Outcome

LONGEST_REASON = 150

# The browser subscribed with another key than ours, such as that of an earlier
# installation. Apple: VapidPkHashMismatch; Google and Mozilla send a sentence.
_is_other_key = re.compile(
    r"VapidPkHashMismatch|do(es)? not correspond|(key|credentials?) mismatch"
    r"|(do|does)(n't| not) match",
    re.IGNORECASE,
).search
# Mozilla's errno 110 and the like: the browser's keys, not ours.
_is_bad_subscription = re.compile(
    r"invalid (crypto|encryption) keys|invalid subscription|invalid endpoint",
    re.IGNORECASE,
).search


_find_title = re.compile(r"<title>\s*([^<\n]*)", re.IGNORECASE).search
_is_about_subscription = re.compile(r"subscri|regist", re.IGNORECASE).search


def read(response: Response, target: Target) -> Outcome:
    """The outcome of one push, from the response of any push service."""
    status, reason = response.status, _reason(response)
    if status in (200, 201, 202, 204):
        return ACCEPTED
    if status == 410 or (status == 404 and _may_be_the_services(response, reason)):
        return Outcome(Kind.GONE, reason)
    if status in (400, 401, 403) and (
        _is_other_key(reason) or _is_bad_subscription(reason)
    ):
        return Outcome(Kind.SUSPECT, reason)
    outcome = responses.by_status(response, reason)
    if outcome.kind is Kind.LATER:
        pause_s = responses.retry_after_s(response.headers, utc_now())
        return outcome._replace(retry_after_s=pause_s)
    return outcome


def _may_be_the_services(response: Response, reason: str) -> bool:
    """Whether the service itself has responded, and not a proxy in front of it."""
    return not responses.is_page(response) or bool(_is_about_subscription(reason))


def is_too_large(outcome: Outcome) -> bool:
    """Whether the service may take the push with a shorter text."""
    return outcome.kind is Kind.REFUSED and outcome.reason.startswith("413")


def _reason(response: Response) -> str:
    """Apple's `reason`, Mozilla's `message`, ntfy's `error` or a text's first line.

    Microsoft leaves the body empty and gives it in a header.

    Any server can be a push service, so the text is not trusted.
    """
    answer = responses.json_object(response.body)
    found = (responses.string(answer, key) for key in ("reason", "message", "error"))
    words = next(filter(None, found), "")
    if not answer:
        text = response.body[:1000].decode("utf-8", "replace").strip()
        words = _title(text) if text.startswith("<") else text.partition("\n")[0]
        words = "" if text.startswith("{") else words
    words = words or _header(response, "x-wns-error-description")
    shown = "".join(c for c in words if c.isprintable()).strip()[:LONGEST_REASON]
    return f"{response.status} {shown}".strip()


def _title(page: str) -> str:
    """The title of a page, which is where Google has put its reason."""
    found = _find_title(page)
    return "" if found is None else html.unescape(found[1])


def _header(response: Response, name: str) -> str:
    return next((value for key, value in response.headers if key == name), "")
