"""A daemon thread pool without futures."""

import logging
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

log = logging.getLogger(__name__)


class ThreadPool:
    """Starts a thread when all others are busy, up to a limit; one thread calls `run`.

    `ThreadPoolExecutor` creates a future for each call, which costs more than the rest
    of the host, and joins its threads at exit, even if they wait for a long poll.
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._started = 0
        self._idle: deque[None] = deque()
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def run(self, call: Callable[[], None]) -> None:
        """Run a call as soon as a thread is free."""
        self._calls.put(call)
        try:
            self._idle.pop()
        except IndexError:
            if self._started < self._max_threads:
                self._started += 1
                name = f"request-{self._started}"
                Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            try:
                call()
            except BaseException:
                # Not even SystemExit may end the thread.
                log.exception("a request failed")
            del call
            self._idle.append(None)
