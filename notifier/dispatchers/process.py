"""Dispatcher `process`: a datagram wakes a warm PushProcess, or starts one."""

import atexit
import logging
import os
import threading
import weakref
from functools import partial

from config import Settings
from notifier import forks
from notifier.process import BuildEngine, PushProcess, build_engine
from notifier.slots import Answer, Slots
from notifier.starter import Starter
from notifier.watchdog import Watchdog

log = logging.getLogger(__name__)


def open(settings: Settings) -> "ProcessDispatcher":
    return ProcessDispatcher(settings)


class ProcessDispatcher:
    """Wakes the PushProcesses of this host; its threads belong to one web worker.

    With `push_slots` of 0 it starts a process per message, in the request: the plain
    way, kept to be compared with.
    """

    def __init__(self, settings: Settings, build: BuildEngine = build_engine) -> None:
        self._settings = settings
        self._slots = Slots(settings.run_dir, settings.push_slots)
        self._make = partial(PushProcess, settings, build)
        self._pid: int | None = None
        self._starter: Starter
        self._watchdog: Watchdog
        self._starting = threading.Lock()
        forks.in_child(self._start_again)

    def start(self) -> None:
        with self._starting:
            if self._pid == os.getpid():
                return
            if self._pid is not None:
                self._starter.forget()
            self._starter = Starter(self._slots, self._make, on_end=self._look)
            self._watchdog = Watchdog(
                self._settings.database_url,
                self._wake,
                every_s=self._settings.watchdog_s,
                slots=self._slots,
            )
            self._pid = os.getpid()
        atexit.register(_close, weakref.ref(self))

    def dispatch(self, job_id: int) -> None:
        try:
            # uWSGI may fork its workers without telling Python.
            if self._pid != os.getpid():
                self.start()
            self._wake()
        except Exception:
            log.exception(
                "job %d: nobody was woken; the watchdog will see to it", job_id
            )

    def close(self) -> None:
        if self._pid == os.getpid():
            self._starter.close()
            self._watchdog.close()

    def _wake(self) -> None:
        if not self._settings.push_slots:
            self._make().start()
        elif self._slots.wake() is Answer.NOBODY:
            self._starter.ask()

    def _look(self) -> None:
        self._watchdog.nudge()

    def _start_again(self) -> None:
        self._starting = threading.Lock()
        if self._pid is not None:
            self.start()


def _close(reference: "weakref.ref[ProcessDispatcher]") -> None:
    if dispatcher := reference():
        dispatcher.close()
