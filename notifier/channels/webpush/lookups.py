"""Name look-ups on threads, of which no domain and no member has more than a few.

A name server that never answers keeps a thread for half a minute, and any member can
name one. Nothing can end such a thread, so it counts until it ends by itself.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

# Threads of all look-ups, and those of one domain or of one member.
MOST_THREADS = 16
MOST_OF_KEY = 4


class Lookups:
    """Runs look-ups on daemon threads, which do not delay the end of the process."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(MOST_THREADS)
        # Each is there as long as a look-up runs or waits for it.
        self._of_key: WeakValueDictionary[Hashable, asyncio.Semaphore]
        self._of_key = WeakValueDictionary()

    async def run(self, keys: Sequence[Hashable], look_up: Callable[[], T]) -> T:
        """The result of the look-up, when each key has a thread left for it.

        Callers name the kinds of their keys in the same order.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()
        held: list[asyncio.Semaphore] = []
        try:
            for turn in (*map(self._turn, keys), self._all):
                await turn.acquire()
                held.append(turn)
            over = partial(_end, held, result)
            work = partial(_run, loop, look_up, over)
            threading.Thread(target=work, name="look-up", daemon=True).start()
        except BaseException:
            _release(held)
            raise
        found: T = await result
        return found

    def _turn(self, key: Hashable) -> asyncio.Semaphore:
        turn = self._of_key.get(key)
        if turn is None:
            turn = self._of_key[key] = asyncio.Semaphore(MOST_OF_KEY)
        return turn


def _run(
    loop: asyncio.AbstractEventLoop,
    look_up: Callable[[], T],
    over: Callable[[T | None, Exception | None], None],
) -> None:
    found: T | None = None
    problem: Exception | None = None
    try:
        found = look_up()
    except Exception as error:  # raised by the look-up, so its caller gets it
        problem = error
    # The loop may be closed, because the engine does not wait for this thread.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(over, found, problem)


def _end(
    held: list[asyncio.Semaphore],
    result: asyncio.Future[Any],
    found: T | None,
    problem: Exception | None,
) -> None:
    _release(held)
    # Its caller may have stopped waiting.
    if result.done():
        return
    if problem is None:
        result.set_result(found)
    else:
        result.set_exception(problem)


def _release(held: list[asyncio.Semaphore]) -> None:
    for turn in held:
        turn.release()
