"""Waiting for something to become true, with an end."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

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


async def eventually(look: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """The same in a coroutine, while the event loop goes on."""
    async with asyncio.timeout(timeout_s):
        while not (seen := look()):
            await asyncio.sleep(0.005)
    return seen
