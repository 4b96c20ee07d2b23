"""Keeps our threads and the host's forks apart.

gunicorn (--preload) and uWSGI load the app in a master process and fork their workers
from it. A fork copies no threads, but it copies their half-done work and held locks.
"""

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from bottlepost import logs

# Bounded, because a database that hangs must not block the host's fork as well.
LONGEST_WAIT_S = 2.0


class _CriticalSections:
    """Counts the threads in `no_fork` blocks; a fork waits until there are none.

    It also waits for a line of the log that a thread is writing: the lock of the stream
    would stay held in the child, which would then wait for ever at its own first line.
    """

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_in_parent,
            after_in_child=self._reset,
        )

    @contextmanager
    def no_fork(self) -> Iterator[None]:
        with self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def _before_fork(self) -> None:
        # Held until the fork is done, so that no thread enters a block meanwhile.
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._count, LONGEST_WAIT_S)
        for handler in logs.handlers():
            lock = handler.lock
            if lock is not None and lock.acquire(timeout=LONGEST_WAIT_S):
                self._held.append(lock)

    def _after_in_parent(self) -> None:
        while self._held:
            self._held.pop().release()
        self._changed.release()

    def _reset(self) -> None:
        # The logging module gives its handlers new locks.
        self._held: list[threading.Lock | threading.RLock] = []
        self._changed = threading.Condition()
        self._count = 0


# `with no_fork():` the host does not fork while a thread is in this block.
no_fork = _CriticalSections().no_fork


def after_in_child(method: Callable[[], None]) -> None:
    """Call the method in every forked child, as long as its object lives."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if living := reference():
            living()

    os.register_at_fork(after_in_child=call)


def defer_in_uwsgi(method: Callable[[], None]) -> bool:
    """Whether the method has to wait until uWSGI has forked its workers from us.

    uWSGI forks without telling Python, so `no_fork` cannot delay it and no thread may
    run yet. With a master process uWSGI then calls the method in each worker; without
    one, nothing calls it.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or uwsgi.worker_id():
        return False
    # Not in its spoolers: they iterate over the same list after their fork, and it
    # would grow meanwhile.
    if uwsgi.masterpid() == os.getpid():
        import_module("uwsgidecorators").postfork(method)
    return True
