"""Magic tokens: device tokens, and answers by name, that make a provider fail."""

import re
import time
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple, Protocol

from sandbox.wire.exchange import Answer, Headers, Trick


class Fault(NamedTuple):
    """What a provider does instead of accepting; both providers know most of them."""

    name: str
    # Of `flaky-3` and `answer-400-BadTopic`.
    times: int = 0
    status: int = 0
    reason: str = ""
    # Only the first time that the token is pushed to.
    once: bool = False


# A new name needs its errors in apns.py and fcm_errors.py, or a line in a table below.
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
    "too-many",
    "too-many-updates",
    "topic-disallowed",
    "unknown-reason",
    "unregistered",
    "unregistered-new",
    "unregistered-old",
    "wrong-environment",
)
# Instead of any answer; the connection does it.
TRICKS = {
    "cut": "cut",
    "cut-after-headers": "cut_body",
    "goaway": "goaway",
    "hang": "hang",
    "refused-stream": "refuse",
    "reset": "reset",
}
# The push is accepted, but not just so.
ACCEPTING = {"goaway-after": "farewell", "lost-answer": "lose", "slow": "delay"}
# The body is no JSON; whoever gets 200 with it cannot tell.
GARBAGE = {"garbage": 200, "garbage-400": 400}

_PLAIN = re.compile(
    r"(?P<once>once-)?(?:(?P<name>"
    + "|".join(sorted(NAMES, key=len, reverse=True))
    + r")|flaky-(?P<count>\d{1,6})"
    + r"|answer-(?P<status>[3-5]\d\d)(?:-(?P<reason>[A-Za-z_]+))?)(?:-.*)?",
    re.DOTALL,
)


@lru_cache(maxsize=10_000)
def named(text: str) -> Fault | None:
    """The fault that a token or an answer's name asks for, if it is magic."""
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


class Attempts:
    """How often a token that fails only at first has been pushed to."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def fails(self, token: str, fault: Fault) -> bool:
        """Whether the fault still strikes; counts this attempt."""
        limit = 1 if fault.once else fault.times
        if not limit:
            return True
        made = self._counts.get(token, 0)
        self._counts[token] = made + 1
        return made < limit

    def clear(self) -> None:
        self._counts.clear()


class Delivery(Protocol):
    """A push on its way to its answer, as each provider has its own."""

    def accept(self) -> Answer:
        """Record it as accepted, and say so."""

    def note(self, status: int | None, reason: str) -> None:
        """Record it as not accepted."""

    def fail(self, fault: Fault) -> Answer:
        """Record it, and answer the error that the fault names."""

    def headers(self) -> Headers:
        """What every answer of this provider carries."""


def commit(fault: Fault, delivery: Delivery, slow_s: float) -> Answer:
    """Do to a push what the fault says."""
    name = fault.name
    if name in TRICKS:
        delivery.note(None, name)
        return Answer(200, delivery.headers(), trick=Trick(TRICKS[name]))
    if name in ACCEPTING:
        return Answer(200, trick=Trick(ACCEPTING[name], delivery.accept, slow_s))
    if name in GARBAGE:
        delivery.note(GARBAGE[name], "garbage")
        return Answer(GARBAGE[name], delivery.headers(), b'{"reason": "Bad\xff')
    answer = delivery.fail(fault)
    if name == "slow-body":
        return answer._replace(trick=Trick("drip", lambda: answer, slow_s))
    return answer


def retry_after(fault: Fault, seconds: int) -> tuple[tuple[str, str], ...]:
    """The Retry-After header of a fault that has one."""
    if fault.name in ("503-after", "429", "too-many", "quota"):
        return (("retry-after", str(seconds)),)
    if fault.name == "503-date":
        return (("retry-after", formatdate(time.time() + seconds, usegmt=True)),)
    return ()
