"""Calls that share a few threads of a pool, so that they leave the others alone."""

import logging
import threading
from collections import deque
from collections.abc import Callable

from host.thread_pool import ThreadPool

log = logging.getLogger(__name__)


class Lane:
    """Runs calls in a pool, but only some of them at once; the others wait in order.

    A call that waits takes no thread. One thread calls `run`.
    """

    def __init__(self, threads: ThreadPool, most: int) -> None:
        self._threads = threads
        self._most = most
        self._changing = threading.Lock()
        self._running = 0
        self._calls: deque[Callable[[], None]] = deque()

    def run(self, call: Callable[[], None]) -> None:
        with self._changing:
            self._calls.append(call)
            if self._running == self._most:
                return
            self._running += 1
        self._threads.run(self._work)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except BaseException:
                # As in the pool; and the calls behind it must not wait for ever.
                log.exception("a request failed")

    def _next(self) -> Callable[[], None] | None:
        with self._changing:
            if self._calls:
                return self._calls.popleft()
            self._running -= 1
            return None
