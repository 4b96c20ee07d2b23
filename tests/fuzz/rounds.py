"""Checks of hypothesis, repeated with other seeds for so long or so many times."""

import argparse
import logging
import time
from collections.abc import Callable, Sequence

from hypothesis import seed, settings

EXAMPLES = 1000

Check = Callable[[], None]


def run(description: str, checks: Callable[[], Sequence[Check]], what: str) -> None:
    """The command line of a fuzzer; a round that finds something raises it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=60, help="begin no new round")
    parser.add_argument("--rounds", type=int, default=10_000, help="at most so many")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    # Nearly every example ends in a warning, which is as it should be.
    logging.disable(logging.WARNING)
    end = time.monotonic() + options.seconds
    thorough = settings(max_examples=EXAMPLES, deadline=None, database=None)
    rounds = done = 0
    while rounds < options.rounds and time.monotonic() < end:
        # Printed first, so that a round that fails can be repeated.
        print(f"seed {options.seed + rounds}", flush=True)
        for check in checks():
            seed(options.seed + rounds)(thorough(check))()
            done += EXAMPLES
        rounds += 1
    print(f"{done:,} {what}, nothing found")
