"""What lives in every web worker process, however that process came to be."""

import atexit
import os
import threading
import weakref

from notifier.process import fork_safety


class PerProcess:
    """Begins once in each process that has it, again in a forked one, ends at exit.

    Subclasses say in `_begin` and `_end` what that means. gunicorn (--preload) and
    uWSGI make the app in a master process and fork it; threads stay behind there.
    """

    def __init__(self) -> None:
        self._pid: int | None = None
        self._starting = threading.Lock()
        fork_safety.in_child(self._follow)

    def start(self) -> None:
        """Begin, unless that was done in this process; cheap to call again."""
        if self._pid == os.getpid() or fork_safety.put_off_in_uwsgi(self.start):
            return
        with self._starting:
            if self._pid != os.getpid():
                self._begin()
                self._pid = os.getpid()
                atexit.register(_close, weakref.ref(self))

    def close(self) -> None:
        if self._pid == os.getpid():
            self._end()

    def _begin(self) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    def _follow(self) -> None:
        self._starting = threading.Lock()
        if self._pid is not None:
            self.start()


def _close(reference: "weakref.ref[PerProcess]") -> None:
    if per_process := reference():
        per_process.close()
