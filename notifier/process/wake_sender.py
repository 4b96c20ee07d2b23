"""Sends wake-ups out of the web worker on a separate thread, so no request waits."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from config import Settings
from notifier.process.per_process import PerProcess
from notifier.process.slots import worker_slots
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)

# Wake-ups beyond this are dropped: the jobs are in the outbox, and the watchdog looks.
MAX_QUEUED = 1000
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
CLOSE_S = 1.0


class Link(Protocol):
    """A connection to the workers; made, used and closed on the sender's thread.

    It is made with the settings, and with the number of their generation.
    """

    def send(self, job_ids: Sequence[int]) -> None:
        """Send the wake-ups, or raise; has to return within seconds."""

    def close(self) -> None:
        """Called once, also after an error."""


class WakeSender(PerProcess):
    """A dispatcher that queues job ids, which its thread sends over a link.

    After an error it opens a new link and sends the rest again. Its watchdog also looks
    for killed workers on this host. The link is opened for the first message, or
    already at the start. If the workers share our settings, because the link starts
    them, web workers with newer settings see to the work.
    """

    def __init__(
        self,
        settings: Settings,
        open_link: Callable[[Settings, int], Link],
        *,
        opens_at_start: bool = False,
        shares_settings: bool = False,
    ) -> None:
        super().__init__(settings)
        self._open_link = open_link
        self._opens_at_start = opens_at_start
        self._shares_settings = shares_settings
        self._link_number = 0

    def _on_start(self) -> None:
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._link: Link | None = None
        self._is_failing = False
        self._thread = threading.Thread(
            target=self._run, name="wake-sender", daemon=True
        )
        self._thread.start()
        slots = worker_slots(self._settings)
        self._watchdog = Watchdog(self._settings, self._on_due, slots=slots)

    def _on_close(self) -> None:
        """Send what is queued, if that takes no time."""
        self._watchdog.close()
        self._closing.set()
        self._queue.put(None)
        self._thread.join(CLOSE_S)

    def _wake(self, job_id: int) -> None:
        if self._queue.qsize() < MAX_QUEUED:
            self._queue.put(job_id)

    def _run(self) -> None:
        if self._opens_at_start:
            self._try_to_send([])
        while job_ids := self._take_all():
            if self._shares_settings and self._succession.leave_to_newer():
                continue
            pause_s = FIRST_PAUSE_S
            while not self._try_to_send(job_ids):
                if self._closing.wait(pause_s):
                    return
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self._close_link()

    def _take_all(self) -> list[int]:
        """Wait for a job id, and return all that are queued; empty at the end."""
        job_ids: dict[int, None] = {}
        job_id = self._queue.get()
        while job_id is not None:
            job_ids[job_id] = None
            if self._queue.empty():
                break
            job_id = self._queue.get()
        return list(job_ids)

    def _try_to_send(self, job_ids: Sequence[int]) -> bool:
        try:
            number = self._succession.number
            if self._shares_settings and self._link_number != number:
                # Its workers have been retired, and our settings are in force again.
                self._close_link()
            if self._link is None:
                self._link = self._open_link(self._settings, number)
                self._link_number = number
            self._link.send(job_ids)
        except Exception as problem:
            # A client library may raise anything, and the thread has to live on.
            if not self._is_failing:
                log.warning("cannot send wake-ups, retrying: %r", problem)
            self._is_failing = True
            self._close_link()
            return False
        self._is_failing = False
        return True

    def _close_link(self) -> None:
        link, self._link = self._link, None
        try:
            if link is not None:
                link.close()
        except Exception as problem:
            log.debug("cannot close the link: %r", problem)
