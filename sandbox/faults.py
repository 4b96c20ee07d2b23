"""Fault injection: the names that make a provider fail, and what they cause.

A fault token is a device token that begins with such a name.
"""

import re
import time
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple, Protocol

from sandbox.wire.exchange import Headers, Response, WireFault


class Fault(NamedTuple):
    """A failure that a name asks for; most names work with all providers."""

    name: str
    # The number in `flaky-3`, and the parts of `answer-400-BadTopic`.
    times: int = 0
    status: int = 0
    reason: str = ""
    # Fail the first push to the token only.
    once: bool = False


# A new name needs errors in apns_errors.py, fcm_errors.py and manners.py, or a line
# below.
NAMES = (
    "429",
    "500",
    "503",
    "503-after",
    "503-date",
    "bad-environment-key",
    "bad-token",
    "cut",
    "cut-after-headers",
    "expired-token",
    "garbage",
    "garbage-400",
    "goaway",
    "goaway-after",
    "hang",
    "invalid-payload",
    "lost-answer",
    "no-subscriber",
    "not-for-topic",
    "payload-too-large",
    "quota",
    "quota-bare",
    "refused-stream",
    "reset",
    "sender-mismatch",
    "shutdown",
    "slow",
    "slow-body",
    "third-party-auth",
    "throttled",
    "too-many",
    "too-many-updates",
    "topic-disallowed",
    "unknown-reason",
    "unregistered",
    "unregistered-new",
    "unregistered-old",
    "wrong-environment",
)
# Faults of the connection in place of a response.
WIRE_FAULTS = {
    "cut": "cut",
    "cut-after-headers": "cut_after_headers",
    "goaway": "goaway",
    "hang": "hang",
    "refused-stream": "refuse_stream",
    "reset": "reset",
}
# Faults of the connection around an accepted push.
ACCEPTING = {
    "goaway-after": "goaway_after",
    "lost-answer": "lose_response",
    "slow": "delay",
}
# The body is not JSON, so a client cannot tell whether 200 means accepted.
GARBAGE = {"garbage": 200, "garbage-400": 400}

_PLAIN = re.compile(
    r"(?P<once>once-)?(?:(?P<name>"
    + "|".join(sorted(NAMES, key=len, reverse=True))
    + r")|flaky-(?P<count>\d{1,6})"
    + r"|answer-(?P<status>[3-5]\d\d)(?:-(?P<reason>[A-Za-z_]+))?)(?:-.*)?",
    re.DOTALL,
)


@lru_cache(maxsize=10_000)
def parse(text: str) -> Fault | None:
    """The fault that a device token or a name asks for; None for other tokens."""
    found = _PLAIN.fullmatch(text)
    if found is None:
        return None
    once = found["once"] is not None
    if found["count"] is not None:
        return Fault("flaky", times=int(found["count"]))
    if found["status"] is not None:
        reason = found["reason"] or ""
        return Fault("answer", status=int(found["status"]), reason=reason, once=once)
    return Fault(found["name"], once=once)


class AttemptCounter:
    """Counts pushes to the tokens that fail only a number of times."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def fails(self, token: str, fault: Fault) -> bool:
        """Count an attempt; returns whether the fault still applies."""
        limit = 1 if fault.once else fault.times
        if not limit:
            return True
        earlier = self._counts.get(token, 0)
        self._counts[token] = earlier + 1
        return earlier < limit

    def clear(self) -> None:
        self._counts.clear()


class Delivery(Protocol):
    """A push that is being handled; each provider has a class for it."""

    def accept(self) -> Response:
        """Record the push as accepted, and return that response."""

    def record_refusal(self, status: int | None, reason: str) -> None:
        """Record the push as refused."""

    def fail(self, fault: Fault) -> Response:
        """Record the push as refused, and return the error of the fault."""

    def headers(self) -> Headers:
        """The headers of every response of this provider."""


def inject(fault: Fault, delivery: Delivery, slow_s: float) -> Response:
    """Handle a push as the fault says."""
    name = fault.name
    if name in WIRE_FAULTS:
        delivery.record_refusal(None, name)
        return Response(200, delivery.headers(), fault=WireFault(WIRE_FAULTS[name]))
    if name in ACCEPTING:
        return Response(200, fault=WireFault(ACCEPTING[name], delivery.accept, slow_s))
    if name in GARBAGE:
        delivery.record_refusal(GARBAGE[name], "garbage")
        return Response(GARBAGE[name], delivery.headers(), b'{"reason": "Bad\xff')
    response = delivery.fail(fault)
    if name == "slow-body":
        return response._replace(fault=WireFault("slow_body", lambda: response, slow_s))
    return response


def retry_after(fault: Fault, seconds: int) -> tuple[tuple[str, str], ...]:
    """The Retry-After header, for the faults that have one."""
    if fault.name in ("503-after", "429", "too-many", "throttled", "quota"):
        return (("retry-after", str(seconds)),)
    if fault.name == "503-date":
        return (("retry-after", formatdate(time.time() + seconds, usegmt=True)),)
    return ()
