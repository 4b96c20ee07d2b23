"""ThreadPool that are there for whoever has something to be done."""

import logging
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

log = logging.getLogger(__name__)


class ThreadPool:
    """At most so many, begun when all others are at work; one thread hands out work.

    `ThreadPoolExecutor` makes a future for each call, which costs more than all else
    here, and joins its threads at the end of the process, however long they wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun = 0
        self._idle: deque[None] = deque()
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def run(self, call: Callable[[], None]) -> None:
        """As soon as one of them is free."""
        self._calls.put(call)
        try:
            self._idle.pop()
        except IndexError:
            if self._begun < self._most:
                self._begun += 1
                name = f"request-{self._begun}"
                Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            try:
                call()
            except BaseException:
                # Not even SystemExit may cost us a thread.
                log.exception("a request failed")
            del call
            self._idle.append(None)
