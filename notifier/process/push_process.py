"""PushProcess: the warm process that sends the pushes of `process`."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Coroutine
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerProcess
from typing import Any, NoReturn

from sqlalchemy.exc import SQLAlchemyError

from bottlepost import logs
from config import CPU_ANSWERS, Settings, platform
from datastore import Datastore
from notifier.engine import (
    BuildEngine,
    Engine,
    StuckDatabase,
    build_engine,
    collect_rarely,
    never_retired,
    new_event_loop,
    new_owner,
)
from notifier.process import fork_server, watchdog
from notifier.process.generation import Retirement
from notifier.process.slots import Slot, Slots
from notifier.process.wake_socket import WakeSocket

log = logging.getLogger(__name__)

# How often an idle process looks whether newer settings have retired it.
RETIRED_S = 1.0
# A process with older settings has left its slot by then, see succession.py.
TAKE_S = 20.0
CHECK_S = 0.01
# With answers first, we are this much nicer than the web worker.
NICE = 5
# The exit status of a process that leaves a thread behind in a query that hangs.
EXIT_STUCK = 70


class PushProcess(ForkServerProcess):
    """Works through the outbox, lingers with warm connections, and exits.

    It outlives the web worker that started it, and that worker ends without waiting for
    it. `build` creates its engine. `number` is the generation of its settings: it
    leaves its slot when there is a newer one.
    """

    _Popen = staticmethod(fork_server.Popen)

    def __init__(
        self,
        settings: Settings,
        build: BuildEngine = build_engine,
        *,
        number: int | None = None,
    ) -> None:
        super().__init__(name="PushProcess", daemon=False)
        self._settings = settings
        self._build = build
        self._number = number
        self._is_retired = never_retired
        self._stopping = False

    def start(self) -> None:
        """Start without becoming one of the host's children.

        Process.start would refuse if the host is itself a daemonic process (as
        granian's workers are), and would add us to `multiprocessing.process._children`,
        all of which a host joins when it exits.
        """
        self._popen = self._Popen(self)
        self._sentinel = self._popen.sentinel

    def __getstate__(self) -> dict[str, Any]:
        # The authentication key in `_config` cannot be pickled, and is not needed.
        return {**self.__dict__, "_config": {}, "_popen": None}

    def run(self) -> None:
        """The main function of the child."""
        _detach_from_host(self._settings)
        collect_rarely()
        try:
            if self._settings.push_slots:
                self._work_in_slots()
            else:
                _run(self._work(new_owner(), linger_s=0.0, listener=None))
        except Exception:
            # multiprocessing would print what the exception says as it is.
            log.exception("the PushProcess crashed")
            raise SystemExit(1) from None

    def _work_in_slots(self) -> None:
        run_dir, number = self._settings.run_dir, self._number
        slots = Slots(run_dir, self._settings.push_slots, number=lambda: number or 0)
        if number is not None:
            self._is_retired = Retirement(run_dir, number).has_begun
        store = Datastore.of(self._settings)
        while slot := self._take(slots):
            self._work_in(slot, store)
            if self._stopping or self._is_retired() or not self._is_work_due(store):
                return

    def _take(self, slots: Slots) -> Slot | None:
        """Lock a free slot; None if all belong to processes that look after us.

        One with older settings does not, so we wait until it has left.
        """
        deadline = time.monotonic() + TAKE_S
        while True:
            # Before the lock: a process that leaves meanwhile has left a slot for us.
            older = [h for h in slots.holders() if h.number < (self._number or 0)]
            if slot := slots.take():
                return slot
            if not older or self._is_retired() or time.monotonic() > deadline:
                return None
            time.sleep(CHECK_S)

    def _work_in(self, slot: Slot, store: Datastore) -> None:
        """Own the slot while there is work, and for the linger time after it.

        The order of these steps makes sure that no wake-up is lost; see
        docs/processes.md.
        """
        owner = new_owner(self._number)
        watchdog.take_over(store, slot, owner)
        try:
            listener = self._open_socket(slot)
            linger_s = self._settings.push_linger_s
            _run(self._work(owner, linger_s=linger_s, listener=listener))
        except* StuckDatabase as problem:
            _leave_stuck(slot, problem)
        finally:
            self._close_socket(slot)
            self._release(slot)

    async def _work(
        self, owner: str, *, linger_s: float, listener: socket.socket | None
    ) -> None:
        wake = asyncio.Event()
        engine = self._build(self._settings, owner=owner, is_retired=self._is_retired)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, engine)
        wake_socket = None if listener is None else WakeSocket(listener, engine, wake)
        watch = asyncio.create_task(self._leave_when_retired(engine))
        try:
            await engine.run(linger_s=linger_s, wake=wake)
        finally:
            watch.cancel()
            if wake_socket is not None:
                wake_socket.close()

    async def _leave_when_retired(self, engine: Engine) -> None:
        """Those that have retired us send SIGTERM, too, if they may."""
        while not self._is_retired():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(RETIRED_S)
        self._stop(engine)

    def _stop(self, engine: Engine) -> None:
        self._stopping = True
        engine.stop()

    def _open_socket(self, slot: Slot) -> socket.socket:
        return slot.open_socket()

    def _close_socket(self, slot: Slot) -> None:
        slot.close_socket()

    def _release(self, slot: Slot) -> None:
        slot.release()

    def _is_work_due(self, store: Datastore) -> bool:
        """The last look: finds jobs whose wake-up came after the engine's own look."""
        try:
            return watchdog.is_work_due(store)
        except (SQLAlchemyError, OSError) as problem:
            log.warning("cannot look at the outbox before the exit: %s", problem)
            return False


def _leave_stuck(slot: Slot, problem: BaseException) -> NoReturn:
    """Exit although a thread hangs; the owner's name in the slot says that it died.

    So the next owner of the slot, or a watchdog, releases the leases.
    """
    log.error("leaving the slot to another process", exc_info=problem)
    slot.close_socket()
    logging.shutdown()
    os._exit(EXIT_STUCK)


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)


def _detach_from_host(settings: Settings) -> None:
    """Give up everything that ties this process to the web worker."""
    os.setsid()
    if settings.cpu_first == CPU_ANSWERS:
        os.nice(NICE)
    # The fork server has passed on the host's signal mask and ignored signals.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    # It is /dev/null, see fork_server.py; whatever needs a resource tracker starts one.
    tracker: Any = resource_tracker._resource_tracker
    if tracker._fd is not None:
        os.close(tracker._fd)
        tracker._fd = None
    with open(os.devnull) as null:
        os.dup2(null.fileno(), 0)
    logs.own("push", settings, file=settings.run_dir / "push" / "push.log")
    platform.name_process("push-process")
