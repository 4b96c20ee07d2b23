"""Dispatcher `process`: a datagram wakes a warm PushProcess, or starts one."""

import logging
from functools import partial

from config import Settings
from notifier.engine import BuildEngine, build_engine
from notifier.process.per_process import PerProcess
from notifier.process.push_process import PushProcess
from notifier.process.slots import Slots, WakeResult
from notifier.process.starter import Starter
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)


class ProcessDispatcher(PerProcess):
    """Wakes the PushProcesses of this host; its threads belong to one web worker.

    With `push_slots` of 0 it starts a process per message, in the request: the plain
    way, kept to be compared with.
    """

    _starter: Starter | None = None

    def __init__(self, settings: Settings, build: BuildEngine = build_engine) -> None:
        super().__init__()
        self._settings = settings
        self._slots = Slots(settings.run_dir, settings.push_slots)
        self._make = partial(PushProcess, settings, build)

    def dispatch(self, job_id: int) -> None:
        try:
            self.start()
            self._wake()
        except Exception:
            log.exception("job %d: nobody was woken; the watchdog looks", job_id)

    def _begin(self) -> None:
        if self._starter is not None:
            # The parent's, from before a fork.
            self._starter.forget()
        self._starter = Starter(self._slots, self._make, on_end=self._look)
        self._watchdog = Watchdog(
            self._settings,
            self._wake,
            on_late=self._wake_another,
            slots=self._slots,
        )

    def _end(self) -> None:
        if self._starter is not None:
            self._starter.close()
        self._watchdog.close()

    def _wake(self) -> None:
        if not self._settings.push_slots:
            self._make().start()
        elif self._slots.wake() is WakeResult.NO_LISTENER and self._starter is not None:
            self._starter.ask()

    def _wake_another(self) -> None:
        self._wake()
        if self._settings.push_slots and self._starter is not None:
            self._slots.wake_all()
            self._starter.ask_for_another()

    def _look(self) -> None:
        self._watchdog.nudge()


create = ProcessDispatcher
