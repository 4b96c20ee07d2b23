"""The retry ladder: when a push that was not accepted is tried again."""

import random

# Seconds before the 2nd, 3rd … try; the last one repeats until the message expires.
RETRY_LADDER_S = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
# A provider's Retry-After is clamped to these bounds.
RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 3600.0
# The longest delay: the longest pause that a provider may ask for, and the jitter.
LONGEST_DELAY_S = RETRY_AFTER_MAX_S + RETRY_LADDER_S[-1]
# An outage, or a misconfiguration, is checked again after a tenth of the time that it
# has lasted: after a long one there is no request every minute.
OUTAGE_SHARE = 0.1
OUTAGE_LONGEST_S = 600.0


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
