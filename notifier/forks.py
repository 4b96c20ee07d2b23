"""Our threads and the forks of the host, which must not meet.

gunicorn (--preload) and uWSGI load the app in a master process and fork their workers
from it: threads are not copied, but whatever they were in the middle of is.
"""

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

# With an end: a database that hangs must not hang the host's fork as well.
LONGEST_WAIT_S = 2.0


class _Rest:
    """A lock that every fork of this process waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_held = False
        os.register_at_fork(
            before=self._hold, after_in_parent=self._go_on, after_in_child=self._renew
        )

    @contextmanager
    def keep_out(self) -> Iterator[None]:
        with self._lock:
            yield

    def _hold(self) -> None:
        self._is_held = self._lock.acquire(timeout=LONGEST_WAIT_S)

    def _go_on(self) -> None:
        if self._is_held:
            self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.Lock()


# `with keep_out():` no fork happens in this block, and one such block at a time.
keep_out = _Rest().keep_out


def in_child(method: Callable[[], None]) -> None:
    """Call the method in every forked child, as long as its object lives."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if living := reference():
            living()

    os.register_at_fork(after_in_child=call)


def put_off_in_uwsgi(method: Callable[[], None]) -> bool:
    """Whether the method is to wait until uWSGI has forked its workers from us.

    uWSGI forks without a word to Python, so `keep_out` cannot hold it up and nothing
    may be under way. With a master process it calls the method in each worker;
    without one, nobody does.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or uwsgi.worker_id():
        return False
    if uwsgi.masterpid():
        import_module("uwsgidecorators").postfork(method)
    return True
