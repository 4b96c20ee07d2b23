"""A daemon thread that runs one query after another, and says how long one hangs."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any


class DatabaseThread(Executor):
    """Runs calls in their order on a daemon thread.

    `ThreadPoolExecutor` joins its threads when Python exits, so a query that hangs
    would keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        # When the current call began, or gave its last sign of life.
        self._busy_since: float | None = None
        self._is_abandoned = False

    @property
    def busy_s(self) -> float:
        """How long the current call has given no sign of life; 0 if there is none."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def gives_sign(self) -> None:
        """Note a sign of life of the current call, if it is called from our thread."""
        if threading.current_thread() is self._thread:
            self._busy_since = time.monotonic()

    def submit(
        self, call: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((future, lambda: call(*args, **kwargs)))
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, name=self._name, daemon=True
            )
            self._thread.start()
        return future

    def end(self, stuck_after_s: float) -> bool:
        """Wait until the calls so far have run; False if one hangs for that long."""
        if self._thread is None:
            return True
        self._calls.put(None)
        while self._thread.is_alive():
            left_s = stuck_after_s - self.busy_s
            if left_s <= 0:
                self._is_abandoned = True
                return False
            # One wait may span several calls, each of which has its own time.
            self._thread.join(left_s if left_s < threading.TIMEOUT_MAX else None)
        return True

    def _work(self) -> None:
        while call := self._calls.get():
            future, work = call
            if self._is_abandoned:
                future.cancel()
            elif future.set_running_or_notify_cancel():
                self._busy_since = time.monotonic()
                _run(future, work)
                self._busy_since = None
            del call, future, work


def _run(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        result = work()
    except BaseException as problem:
        future.set_exception(problem)
    else:
        future.set_result(result)
