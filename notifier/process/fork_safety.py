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


class _Busy:
    """How many threads are in the middle of something; every fork waits for none."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(
            before=self._settle, after_in_parent=self._go_on, after_in_child=self._renew
        )

    @contextmanager
    def keep_out(self) -> Iterator[None]:
        with self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def _settle(self) -> None:
        # Kept until the fork is done, so that nobody begins anything meanwhile.
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._count, LONGEST_WAIT_S)

    def _go_on(self) -> None:
        self._changed.release()

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._count = 0


# `with keep_out():` the host does not fork in the middle of this block.
keep_out = _Busy().keep_out


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
    # Not in its spoolers, which go through the same list after their fork: it would
    # grow under their feet.
    if uwsgi.masterpid() == os.getpid():
        import_module("uwsgidecorators").postfork(method)
    return True
