"""How each push service refuses: its status, and its way of giving the reason."""

import json
from typing import NamedTuple

from sandbox.faults import Fault
from sandbox.wire.exchange import JSON, Headers, Response

TEXT: Headers = (("content-type", "text/plain; charset=UTF-8"),)
PAGE: Headers = (("content-type", "text/html; charset=UTF-8"),)
DAY: Headers = (("cache-control", "max-age=86400"),)
MORE_INFO = "http://autopush.readthedocs.io/en/latest/http.html#error-codes"


class Problem(NamedTuple):
    """What is wrong with a push, in the words of each service.

    None stands for a service that does not look, or has no words of its own.
    """

    status: int
    words: str
    # Apple's status and reason.
    apple: tuple[int, str] | None = None
    # Mozilla's status and number.
    mozilla: tuple[int, int] | None = None
    # Google's status.
    google: int | None = None


PROBLEMS = {
    "method": Problem(405, "only POST is allowed", (405, "MethodNotAllowed")),
    "unknown": Problem(404, "no such subscription", (404, "BadPath"), (404, 102)),
    "gone": Problem(
        410,
        "push subscription has unsubscribed or expired.",
        (410, "Unregistered"),
        (410, 106),
    ),
    "no-subscriber": Problem(
        507, "cannot publish to UnifiedPush topic without previously active subscriber"
    ),
    "no-ttl": Problem(400, "TTL is missing", (400, "BadTtl"), (400, 111)),
    "ttl": Problem(400, "TTL is not a number", (400, "BadTtl"), (400, 114)),
    "cache-policy": Problem(400, "Ttl value conflicts with X-WNS-Cache-Policy."),
    "urgency": Problem(400, "unknown urgency", (400, "BadUrgency")),
    "topic": Problem(400, "bad topic", (400, "BadWebPushTopic"), (400, 113)),
    # Apple's reason is unconfirmed.
    "encoding": Problem(
        400, "the encryption headers are not valid", (400, "BadEncoding"), (400, 110)
    ),
    # No service can see this; only the browser can.
    "unreadable": Problem(
        400, "the browser cannot decrypt this", (400, "Undecryptable"), (400, 110)
    ),
    "no-vapid": Problem(
        401, "no VAPID authorization", (403, "BadJwtToken"), (401, 109), 403
    ),
    "vapid": Problem(
        401, "the VAPID token is not valid", (403, "BadJwtToken"), (401, 109), 403
    ),
    "vapid-key": Problem(
        401, "the VAPID key is no key", (403, "BadVapidPublicKey"), (401, 109), 403
    ),
    # Apple's status is unconfirmed: 400 and 403 were both reported.
    "other-key": Problem(
        403,
        "the VAPID credentials in the authorization header do not correspond to the "
        "credentials used to create the subscriptions.",
        (400, "VapidPkHashMismatch"),
        (401, 109),
    ),
    "too-large": Problem(
        413, "the push is too large", (413, "PayloadTooLarge"), (413, 104)
    ),
    "too-many": Problem(429, "too many pushes", (429, "TooManyRequests"), (429, 201)),
    "overload": Problem(
        503, "use exponential back-off", (503, "ServiceUnavailable"), (503, 201)
    ),
    "broken": Problem(500, "internal error", (500, "InternalServerError"), (500, 999)),
    "tomorrow": Problem(
        400, "a reason that came later", (400, "ReasonOfTomorrow"), (400, 998)
    ),
}
# Fault name → problem.
FAULTS = {
    "429": "too-many",
    "500": "broken",
    "503": "overload",
    "503-after": "overload",
    "503-date": "overload",
    "bad-environment-key": "vapid",
    "bad-token": "unknown",
    "expired-token": "gone",
    "flaky": "overload",
    "invalid-payload": "encoding",
    "no-subscriber": "no-subscriber",
    "not-for-topic": "other-key",
    "payload-too-large": "too-large",
    "quota": "too-many",
    "quota-bare": "too-many",
    "sender-mismatch": "other-key",
    "shutdown": "overload",
    "slow-body": "gone",
    "third-party-auth": "vapid",
    "throttled": "too-many",
    "too-many": "too-many",
    "too-many-updates": "too-many",
    "topic-disallowed": "vapid",
    "unknown-reason": "tomorrow",
    "unregistered": "gone",
    "unregistered-new": "gone",
    "unregistered-old": "gone",
    "wrong-environment": "unknown",
}


class WebpushRefusal(Exception):
    """A push service refuses the push for this problem."""

    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.detail = detail


class Refusal(NamedTuple):
    """A response, and the reason that the inbox shows."""

    response: Response
    reason: str


def refusal(manner: str, problem: str, detail: str = "") -> Refusal:
    """The refusal of a problem, as a service with that manner writes it."""
    known = PROBLEMS[problem]
    words = f"{known.words}: {detail}" if detail else known.words
    if manner == "apple" and known.apple is not None:
        status, reason = known.apple
        return _apple(status, reason)
    if manner.startswith("mozilla"):
        status, number = known.mozilla or (known.status, 999)
        # Only this text tells a browser that subscribed with another key.
        words = "VAPID public key mismatch" if problem == "other-key" else words
        return _mozilla(status, number, words, DAY if status == 410 else ())
    if manner == "google":
        return _google(known.google or known.status, words, problem)
    if manner == "edge":
        return _edge(known.status, words)
    if manner == "unifiedpush":
        return _ntfy(known.status, words)
    body = json.dumps({"message": words}).encode()
    return Refusal(Response(known.status, JSON, body), words)


def for_fault(manner: str, fault: Fault, more: Headers) -> Refusal:
    """The refusal that a fault asks for."""
    if fault.name == "answer":
        found = _as_asked_for(manner, fault.status, fault.reason or "As asked for")
    elif fault.name == "throttled" and manner == "edge":
        # Edge's answer of earlier years.
        status = (("x-wns-status", "channelthrottled"),)
        found = Refusal(Response(406, status), "channelthrottled")
    else:
        found = refusal(manner, FAULTS[fault.name])
    response = found.response
    return found._replace(response=response._replace(headers=response.headers + more))


def _as_asked_for(manner: str, status: int, words: str) -> Refusal:
    if manner.startswith("mozilla"):
        return _mozilla(status, 999, words)
    if manner == "google":
        return Refusal(Response(status, TEXT, f"{words}\n".encode()), words)
    if manner == "edge":
        return _edge(status, words)
    if manner == "unifiedpush":
        return _ntfy(status, words)
    return _apple(status, words)


def _apple(status: int, reason: str) -> Refusal:
    body = json.dumps({"reason": reason}).encode()
    return Refusal(Response(status, JSON, body), reason)


def _mozilla(status: int, number: int, words: str, more: Headers = ()) -> Refusal:
    body = {
        "code": status,
        "errno": number,
        "error": words.partition(":")[0],
        "message": words,
        "more_info": MORE_INFO,
    }
    response = Response(status, JSON + more, json.dumps(body).encode())
    return Refusal(response, f"{number} {words}")


def _google(status: int, words: str, problem: str) -> Refusal:
    if problem != "unknown":
        return Refusal(Response(status, TEXT, f"{words}\n".encode()), words)
    words = (
        "A valid push subscription endpoint should be specified in the URL as such: "
        "https://fcm.googleapis.com/wp/ID"
    )
    page = f"<HTML>\n<HEAD>\n<TITLE>{words}</TITLE>\n</HEAD>\n</HTML>\n"
    return Refusal(Response(status, PAGE, page.encode()), words)


def _edge(status: int, words: str) -> Refusal:
    """Microsoft leaves the body empty."""
    state = "dropped" if status == 400 else "appthrottled" if status == 429 else ""
    headers: Headers = (("x-wns-error-description", words),)
    if state:
        headers += (("x-wns-status", state),)
    return Refusal(Response(status, headers), words)


def _ntfy(status: int, words: str) -> Refusal:
    codes = {429: 42908, 507: 50701}
    code = codes.get(status, status * 100)
    body = {"code": code, "http": status, "error": words}
    return Refusal(Response(status, JSON, json.dumps(body).encode()), words)
