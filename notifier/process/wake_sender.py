"""Carries news out of the web worker on a thread of its own, so no request waits."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from config import Settings
from notifier.process.per_process import PerProcess
from notifier.process.slots import Slots
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)

# Stands for "look at the outbox", where no single job is meant.
ANY_JOB = 0
# What goes beyond it is dropped: the job is in the outbox, and the watchdog looks.
MOST_WAITING = 1000
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
CLOSE_S = 1.0


class Link(Protocol):
    """A way to those who work; made, used and closed on the messenger's thread."""

    def send(self, job_ids: Sequence[int]) -> None:
        """Hand the news over, or raise; must come to an end within seconds."""

    def close(self) -> None:
        """Called once, after trouble too."""


class WakeSender(PerProcess):
    """A dispatcher that puts ids in a short queue; its thread sends them down a line.

    After trouble the line is opened anew, and what was not sent is sent again. `slots`
    are those of workers on this host, to be looked through for dead ones.
    """

    def __init__(
        self,
        settings: Settings,
        open_link: Callable[[], Link],
        *,
        slots: Slots | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._open_link = open_link
        self._slots = slots

    def dispatch(self, job_id: int) -> None:
        try:
            self.start()
            if self._queue.qsize() < MOST_WAITING:
                self._queue.put(job_id)
        except Exception:
            log.exception("job %d: nobody was told; the watchdog looks", job_id)

    def _begin(self) -> None:
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._link: Link | None = None
        self._in_trouble = False
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)
        self._thread.start()
        self._watchdog = Watchdog(self._settings, self._look, slots=self._slots)

    def _end(self) -> None:
        """What has been told until now is still sent, if that takes no time."""
        self._watchdog.close()
        self._closing.set()
        self._queue.put(None)
        self._thread.join(CLOSE_S)

    def _look(self) -> None:
        self.dispatch(ANY_JOB)

    def _run(self) -> None:
        while job_ids := self._take():
            pause_s = FIRST_PAUSE_S
            while not self._sent(job_ids):
                if self._closing.wait(pause_s):
                    return
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self._close_link()

    def _take(self) -> list[int]:
        """All the news there is, once there is some; nothing means the end."""
        job_ids: dict[int, None] = {}
        job_id = self._queue.get()
        while job_id is not None:
            job_ids[job_id] = None
            if self._queue.empty():
                break
            job_id = self._queue.get()
        return list(job_ids)

    def _sent(self, job_ids: Sequence[int]) -> bool:
        try:
            if self._link is None:
                self._link = self._open_link()
            self._link.send(job_ids)
        except Exception as problem:
            # Whatever a client library raises; the thread has to live on.
            if not self._in_trouble:
                log.warning("news cannot be sent, trying on: %r", problem)
            self._in_trouble = True
            self._close_link()
            return False
        self._in_trouble = False
        return True

    def _close_link(self) -> None:
        link, self._link = self._link, None
        try:
            if link is not None:
                link.close()
        except Exception as problem:
            log.debug("closing a line: %r", problem)
