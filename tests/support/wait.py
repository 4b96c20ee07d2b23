"""Waiting for something to become true, with an end."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], timeout_s: float = 60.0, what: str = "") -> T:
    """The first true value of `look()`; fails the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {timeout_s:g} s in vain {what}: last {seen!r}"
            )
        pause.wait(0.01)
    return seen
