"""Counts of a job's devices by platform and outcome, kept in the job's row.

They are written with the job's counters, in the same statement, so a look at a job
never counts the rows of its devices.
"""

import json
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

# What the row has beside the outcomes of pushes: devices that were not tried in time.
UNTRIED = "untried"
ACCEPTED = "accepted"

# (platform, outcome) → devices. The platform of devices that were never read is empty.
Counts = Counter[tuple[str, str]]


def read(text: str | None) -> Counts:
    """The counts of a row; empty without any."""
    counts: Counts = Counter()
    for platform, outcomes in (json.loads(text) if text else {}).items():
        for outcome, devices in outcomes.items():
            counts[platform, outcome] = devices
    return counts


def write(counts: Counts) -> str:
    """The counts as a row keeps them."""
    found: dict[str, dict[str, int]] = {}
    for (platform, outcome), devices in counts.items():
        if devices > 0:
            found.setdefault(platform, {})[outcome] = devices
    return json.dumps(found, separators=(",", ":"))


def of_accepted(platforms: Iterable[str]) -> Counts:
    """The counts of devices that have all accepted."""
    by_platform = Counter(platforms)
    return Counter({(each, ACCEPTED): n for each, n in by_platform.items()})


def text_of_accepted(platforms: Iterable[str]) -> str:
    """What a row keeps of devices that have all accepted.

    Nearly every job ends so, and few texts are different.
    """
    return _text_of_accepted(tuple(Counter(platforms).items()))


@lru_cache(maxsize=4096)
def _text_of_accepted(by_platform: tuple[tuple[str, int], ...]) -> str:
    return write(Counter({(name, ACCEPTED): n for name, n in by_platform}))
