"""How a push can end, in the same words for every provider, and when to try again."""

import random
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

# Seconds before the 2nd, 3rd … try; the last one repeats until the message expires.
RETRY_LADDER_S = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
# A provider's Retry-After is believed within these bounds.
RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 3600.0
# What only others can mend, providers or our operator, is looked at again after a
# tenth of the time that it has lasted: a long outage is not asked about every minute.
OUTAGE_SHARE = 0.1
OUTAGE_LONGEST_S = 600.0


class Kind(StrEnum):
    """The ends of a push."""

    # The provider has taken it.
    ACCEPTED = "accepted"
    # The token is dead: the device is disabled.
    GONE = "gone"
    # Wrong environment or topic: the device is marked, not disabled.
    SUSPECT = "suspect"
    # The provider will never take this payload.
    REFUSED = "refused"
    # Our own credentials are wrong: the devices are kept, the operator is told.
    CREDENTIALS = "credentials"
    # Not now: tried again until the message expires.
    LATER = "later"


class Outcome(NamedTuple):
    """What a provider said about one push."""

    kind: Kind
    # The provider's own word, for people.
    reason: str = ""
    # With LATER and CREDENTIALS: at least this pause is asked for.
    retry_after_s: float | None = None
    # With GONE: dead at least since then; a token registered later lives on.
    gone_since: datetime | None = None
    # With LATER: whether the provider has seen it; if not, it is no failed try.
    tried: bool = True
    # With ACCEPTED: the environment that took it, where it was not the device's own.
    environment: str | None = None


ACCEPTED = Outcome(Kind.ACCEPTED)


class ChannelDown(Exception):
    """A provider could not be reached or broke its protocol; try again later."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


def retry_delay_s(attempts: int, retry_after_s: float | None = None) -> float:
    """Seconds until the next try after so many: full jitter over the ladder's rung.

    A provider's Retry-After is the floor, and the jitter comes on top of it, so that
    the devices it turned away do not all come back in the same second.
    """
    rung = RETRY_LADDER_S[min(attempts, len(RETRY_LADDER_S)) - 1]
    return _floor_s(retry_after_s) + random.uniform(0.0, rung)


def outage_delay_s(waited_s: float, retry_after_s: float | None = None) -> float:
    """Seconds until the next look at a provider that does not serve us at all.

    For a push that has waited so long already. The jitter is as wide as the floor.
    """
    floor = max(_floor_s(retry_after_s), min(waited_s * OUTAGE_SHARE, OUTAGE_LONGEST_S))
    return floor + random.uniform(0.0, max(floor, RETRY_LADDER_S[0]))


def _floor_s(retry_after_s: float | None) -> float:
    if retry_after_s is None:
        return 0.0
    return min(max(retry_after_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
