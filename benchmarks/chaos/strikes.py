"""Makes the planned strikes, one after the other."""

import time
from collections.abc import Iterable
from typing import Any

from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.history import Strike

# Long enough for work to begin, too short for all of it to end.
PAUSE_S = (0.05, 0.6)
# A target may not be running just then, which does not count as a strike.
TRIES = 8


def make_strikes(stage: Any, planned: Iterable[str], strikes: int) -> list[Strike]:
    """Strike the stage that many times, in the planned order.

    A fault that meets nothing is left out, and the next one takes its place.
    """
    made: list[Strike] = []
    for name in planned:
        if len(made) == strikes:
            break
        fault = FAULTS[name]
        for _ in range(TRIES):
            time.sleep(stage.rng.uniform(*PAUSE_S))
            began = time.time()
            if fault.strike(stage):
                kind = fault.hits_provider, fault.voids_leases
                made.append(Strike(name, began, time.time(), *kind))
                break
            stage.supervise()
        stage.revive()
    return made
