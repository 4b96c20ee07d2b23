"""The part of a dispatcher that each web worker process has of its own."""

import atexit
import logging
import os
import threading
import weakref
from abc import ABC, abstractmethod

from config import Settings
from notifier.engine import ANY_JOB
from notifier.process import fork_safety
from notifier.process.succession import Succession

log = logging.getLogger(__name__)


class PerProcess(ABC):
    """A dispatcher that starts once per process, again after a fork, and ends at exit.

    Subclasses start and end their threads in `_on_start` and `_on_close`, and wake an
    engine in `_wake`. gunicorn (--preload) and uWSGI create the app in a master process
    and fork it, and a fork does not copy threads.

    The first start brings our settings into force: PushProcesses with older ones begin
    nothing any more when it returns.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._succession = Succession(settings)
        self._pid: int | None = None
        self._starting = threading.Lock()
        fork_safety.after_in_child(self._after_fork)

    def start(self) -> None:
        """Start, unless this process has done so; cheap to call again."""
        if self._pid == os.getpid():
            return
        self._succession.enter()
        if fork_safety.defer_in_uwsgi(self.start):
            return
        with self._starting:
            if self._pid != os.getpid():
                self._on_start()
                self._succession.start(on_ring=self._on_ring, on_left=self._on_left)
                self._pid = os.getpid()
                atexit.register(_close, weakref.ref(self))

    def dispatch(self, job_id: int) -> None:
        """Wake an engine for a job; returns at once and never raises."""
        try:
            self.start()
            self._wake(job_id)
        except Exception:
            log.exception("job %d: the wake-up failed; the watchdog retries", job_id)

    def close(self) -> None:
        if self._pid == os.getpid():
            self._succession.close()
            self._on_close()

    @abstractmethod
    def _on_start(self) -> None: ...

    @abstractmethod
    def _on_close(self) -> None: ...

    @abstractmethod
    def _wake(self, job_id: int) -> None:
        """Wake an engine; may raise anything."""

    def _on_due(self) -> None:
        """Work is due; for the watchdog to call."""
        self.dispatch(ANY_JOB)

    def _on_ring(self) -> None:
        """A web worker with older settings asks for a process with ours."""
        self._on_due()

    def _on_left(self) -> None:
        """A PushProcess with older settings has left, and may have left work."""
        self._on_due()

    def _after_fork(self) -> None:
        self._starting = threading.Lock()
        if self._pid is not None:
            self.start()


def _close(reference: "weakref.ref[PerProcess]") -> None:
    if per_process := reference():
        per_process.close()
