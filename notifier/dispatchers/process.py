"""Dispatcher `process`: a datagram wakes a warm PushProcess, or starts one."""

from config import Settings
from notifier.engine import BuildEngine, build_engine
from notifier.process.per_process import PerProcess
from notifier.process.push_process import PushProcess
from notifier.process.slots import WakeResult
from notifier.process.starter import Starter
from notifier.process.watchdog import Watchdog


class ProcessDispatcher(PerProcess):
    """Wakes the PushProcesses of this host; its threads belong to one web worker.

    With `push_slots` of 0 it starts a process per message inside the request, which
    exists for comparison.
    """

    _starter: Starter | None = None

    def __init__(self, settings: Settings, build: BuildEngine = build_engine) -> None:
        super().__init__(settings)
        self._slots = self._succession.slots
        self._build = build

    def _on_start(self) -> None:
        if self._starter is not None:
            # The parent's, from before a fork.
            self._starter.close_fds()
        self._starter = Starter(
            self._slots,
            self._make_process,
            on_exit=self._check_outbox,
            leave_to_newer=self._succession.leave_to_newer,
        )
        self._watchdog = Watchdog(
            self._settings,
            self._on_due,
            on_overdue=self._wake_another,
            slots=self._slots,
        )

    def _on_close(self) -> None:
        if self._starter is not None:
            self._starter.close()
        self._watchdog.close()

    def _wake(self, job_id: int) -> None:
        if not self._settings.push_slots:
            self._make_process().start()
        elif self._slots.wake(job_id) is WakeResult.NO_LISTENER and self._starter:
            self._starter.request_start()

    def _make_process(self) -> PushProcess:
        number = self._succession.number
        return PushProcess(self._settings, self._build, number=number)

    def _on_left(self) -> None:
        self._check_outbox()

    def _wake_another(self) -> None:
        self._on_due()
        if self._settings.push_slots and self._starter is not None:
            self._slots.wake_all()
            self._starter.request_another()

    def _check_outbox(self) -> None:
        self._watchdog.check_now()


create = ProcessDispatcher
