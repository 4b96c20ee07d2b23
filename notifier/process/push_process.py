"""PushProcess: the warm process in which pushes leave the house."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from datastore import Datastore
from notifier.engine import BuildEngine, Engine, build_engine, new_event_loop, new_owner
from notifier.process import fork_server, watchdog
from notifier.process.logfile import LogFile
from notifier.process.slots import Slot, Slots
from notifier.process.wake_socket import WakeSocket

log = logging.getLogger(__name__)


class PushProcess(ForkServerProcess):
    """Works through the outbox, lingers with warm connections, and goes.

    It belongs to nobody: it outlives the web worker that started it, and that worker
    ends without waiting for it. `build` makes its engine.
    """

    _Popen = staticmethod(fork_server.Popen)

    def __init__(self, settings: Settings, build: BuildEngine = build_engine) -> None:
        super().__init__(name="PushProcess", daemon=False)
        self._settings = settings
        self._build = build
        self._stopping = False

    def start(self) -> None:
        """Start without becoming one of the host's children.

        Process.start would refuse where the host is a daemonic process itself (as
        granian's workers are), and would enter us in `multiprocessing.process.
        _children`, all of which a host joins when it exits.
        """
        self._popen = self._Popen(self)
        self._sentinel = self._popen.sentinel

    def __getstate__(self) -> dict[str, Any]:
        # Its authentication key refuses to be pickled, and we have no use for it.
        return {**self.__dict__, "_config": {}, "_popen": None}

    def run(self) -> None:
        """The life of the child."""
        _leave_host(self._settings.run_dir)
        if self._settings.push_slots:
            self._work_in_slots()
        else:
            _run(self._work(new_owner(), linger_s=0.0, listener=None))

    def _work_in_slots(self) -> None:
        slots = Slots(self._settings.run_dir, self._settings.push_slots)
        store = Datastore(self._settings.database_url)
        while slot := slots.take():
            self._work_in(slot, store)
            if self._stopping or not self._sees_work(store):
                return

    def _work_in(self, slot: Slot, store: Datastore) -> None:
        """Own the slot as long as there is work, and the linger after it.

        The order of these steps is what keeps every wake-up; see docs/processes.md.
        """
        owner = new_owner()
        watchdog.take_over(store, slot, owner)
        try:
            listener = self._listen(slot)
            linger_s = self._settings.push_linger_s
            _run(self._work(owner, linger_s=linger_s, listener=listener))
        finally:
            self._stop_listening(slot)
            self._give_up(slot)

    async def _work(
        self, owner: str, *, linger_s: float, listener: socket.socket | None
    ) -> None:
        wake = asyncio.Event()
        engine = self._build(self._settings, owner=owner)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, engine)
        wake_socket = None if listener is None else WakeSocket(listener, engine, wake)
        try:
            await engine.run(linger_s=linger_s, wake=wake)
        finally:
            if wake_socket is not None:
                wake_socket.close()

    def _stop(self, engine: Engine) -> None:
        self._stopping = True
        engine.stop()

    def _listen(self, slot: Slot) -> socket.socket:
        return slot.listen()

    def _stop_listening(self, slot: Slot) -> None:
        slot.stop_listening()

    def _give_up(self, slot: Slot) -> None:
        slot.clear()
        slot.release()

    def _sees_work(self, store: Datastore) -> bool:
        """The last look: news that came after the engine's own is not lost."""
        try:
            return watchdog.is_work_due(store)
        except (SQLAlchemyError, OSError) as problem:
            log.warning("cannot look at the outbox before leaving: %s", problem)
            return False


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)


def _leave_host(run_dir: Path) -> None:
    """Let go of everything that ties us to the web worker."""
    os.setsid()
    # Where there are too few cores, answers come before pushes.
    os.nice(5)
    # The host's signal mask and ignored signals came to us through the fork server.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    # The host waits at its exit until nobody holds its resource tracker's pipe.
    tracker: Any = resource_tracker._resource_tracker
    if tracker._fd is not None:
        os.close(tracker._fd)
        tracker._fd = None
    with open(os.devnull) as null:
        os.dup2(null.fileno(), 0)
    logging.basicConfig(
        handlers=[LogFile(run_dir / "push" / "push.log")],
        level=logging.INFO,
        force=True,
    )
    with suppress(OSError):
        # Shown by ps and top; Linux only.
        Path("/proc/self/comm").write_text("push-process")
