"""Tests as coroutines, each on an event loop of its own and with an end."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

_LIMIT_S = 120.0


def coroutine_test(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run the test on a fresh loop; it fails when it takes too long."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(_limited(test(*arguments, **fixtures)))

    return run


async def _limited(test: Awaitable[None]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        await test


async def until(look: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """The first true value of `look()`, while the loop goes on."""
    async with asyncio.timeout(timeout_s):
        while not (seen := look()):
            await asyncio.sleep(0.005)
    return seen
