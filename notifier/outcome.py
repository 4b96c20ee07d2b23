"""How a push ends, in the same terms for every provider, and when to retry it."""

import random
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

# Seconds before the 2nd, 3rd … try; the last one repeats until the message expires.
RETRY_LADDER_S = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
# A provider's Retry-After is clamped to these bounds.
RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 3600.0
# An outage, or a misconfiguration, is checked again after a tenth of the time that it
# has lasted: after a long one there is no request every minute.
OUTAGE_SHARE = 0.1
OUTAGE_LONGEST_S = 600.0


class Kind(StrEnum):
    """The ways a push ends."""

    # The provider has taken it.
    ACCEPTED = "accepted"
    # The token is dead: the device is disabled.
    GONE = "gone"
    # Wrong environment or topic: the device is marked, not disabled.
    SUSPECT = "suspect"
    # The provider will never take this payload.
    REFUSED = "refused"
    # Our credentials are wrong: the devices are kept, the operator is alerted.
    CREDENTIALS = "credentials"
    # Not now: retried until the message expires.
    LATER = "later"


class Outcome(NamedTuple):
    """The result of one push."""

    kind: Kind
    # The provider's own word, for logs and pages.
    reason: str = ""
    # With LATER and CREDENTIALS: the shortest pause before the next try.
    retry_after_s: float | None = None
    # With GONE: dead at least since then; a token registered later lives on.
    gone_since: datetime | None = None
    # With LATER: the provider may have seen it; if False, no try is counted.
    tried: bool = True
    # With ACCEPTED: the environment that took it, if it is not the device's own.
    environment: str | None = None


ACCEPTED = Outcome(Kind.ACCEPTED)


class ChannelDown(Exception):
    """A provider could not be reached or broke its protocol; try again later."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


def retry_delay_s(attempts: int, retry_after_s: float | None = None) -> float:
    """Seconds from this many attempts to the next: full jitter over the ladder's step.

    A provider's Retry-After is the floor, and the jitter comes on top of it, so that
    the pushes it refused are not all retried in the same second.
    """
    step = RETRY_LADDER_S[min(attempts, len(RETRY_LADDER_S)) - 1]
    return _floor_s(retry_after_s) + random.uniform(0.0, step)


def outage_delay_s(waited_s: float, retry_after_s: float | None = None) -> float:
    """Seconds until the next try with a provider that does not serve us at all.

    `waited_s` is how long the push has waited. The jitter is as wide as the floor.
    """
    floor = max(_floor_s(retry_after_s), min(waited_s * OUTAGE_SHARE, OUTAGE_LONGEST_S))
    return floor + random.uniform(0.0, max(floor, RETRY_LADDER_S[0]))


def _floor_s(retry_after_s: float | None) -> float:
    if retry_after_s is None:
        return 0.0
    return min(max(retry_after_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
