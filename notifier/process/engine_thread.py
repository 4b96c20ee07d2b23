"""A warm engine in a worker process that is fed with news: one per process."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from datastore import Datastore
from datastore.outbox import job_status
from notifier.engine import BuildEngine, Engine, build_engine, new_event_loop, new_owner
from notifier.process import watchdog
from notifier.process.slots import Slot, Slots
from notifier.process.wake_socket import WakeSocket
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)

# Places for signatures of engines on one host; one more goes without, and if it is
# killed its leases have to run out.
MOST_ENGINES = 64
# Longer than any job should take; a longer one goes on, watched by the outbox alone.
LONGEST_WORK_S = 600.0
FIRST_LOOK_S = 0.005
LONGEST_LOOK_S = 0.25
# An engine that cannot even begin is not begun again and again at full speed.
RESTART_S = 1.0

Work = Callable[[], None]
StartThread = Callable[[Work], object]


def slots(settings: Settings) -> Slots:
    """Where the engines of workers on this host sign."""
    return Slots(settings.run_dir / "workers", MOST_ENGINES)


def _start_thread(work: Work) -> None:
    threading.Thread(target=work, name="engine", daemon=True).start()


class WarmEngine:
    """Runs an engine on a thread, from the first news on, with connections kept warm.

    Its own watchdog looks at the outbox too: a worker without news only gets slower.
    """

    def __init__(
        self,
        settings: Settings,
        build: BuildEngine = build_engine,
        start_thread: StartThread = _start_thread,
    ) -> None:
        self._settings = settings
        self._build = build
        self._start_thread = start_thread
        self._slots = slots(settings)
        self._store = Datastore(settings.database_url)
        self._engine: Engine | None = None
        self._watchdog: Watchdog | None = None
        self._starting = threading.Lock()
        self._closing = threading.Event()
        self._is_leaving = False
        self._ended = threading.Event()
        self._ended.set()
        self._is_wanted = False

    def watch(self) -> None:
        """Have the watchdog look at the outbox, and wake the engine if need be."""
        with self._starting:
            if self._watchdog is None and not self._closing.is_set():
                self._watchdog = Watchdog(self._settings, self.wake, slots=self._slots)

    def wake(self) -> None:
        """Have the engine look at the outbox; start one if none is running."""
        self.watch()
        with self._starting:
            if self._closing.is_set():
                return
            if self._ended.is_set():
                self._ended.clear()
                self._prepare()
                self._start_thread(self._run)
                return
            self._is_wanted = True
            # The loop is closed when the engine has crashed: the thread then starts
            # another one after its pause.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake_event.set)

    def work(self, job_id: int) -> bool:
        """Wait until nothing is to be done for a job now; False when that takes long.

        Whoever works on it: a job that another engine has, or had when it was killed,
        is waited for, and taken over as soon as it may be.
        """
        deadline = time.monotonic() + LONGEST_WORK_S
        pause_s = FIRST_LOOK_S
        while not self._is_idle(job_id):
            self.wake()
            late = self._is_leaving or time.monotonic() > deadline
            if late or self._closing.wait(pause_s):
                return False
            pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)
        return True

    def leave(self) -> None:
        """Wait for no job any more; may be called by the handler of a signal."""
        # A signal may have come while `work` holds the lock of an Event.
        self._is_leaving = True

    def stop(self, timeout_s: float) -> None:
        """Finish what is in flight and give the leases back, if that is soon done."""
        self._closing.set()
        if self._watchdog is not None:
            self._watchdog.close()
        if not self._ended.is_set():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop)
            self._ended.wait(timeout_s)

    def _run(self) -> None:
        """One engine; after a crash another one, if it was woken meanwhile."""
        while True:
            restart_at = time.monotonic() + RESTART_S
            self._run_engine()
            self._closing.wait(max(restart_at - time.monotonic(), 0.0))
            with self._starting:
                if self._closing.is_set() or not self._is_wanted:
                    self._ended.set()
                    return
                self._prepare()

    def _prepare(self) -> None:
        # An engine looks at the outbox first of all.
        self._is_wanted = False
        self._engine = None
        self._loop = new_event_loop()
        self._wake_event = asyncio.Event()

    def _run_engine(self) -> None:
        slot = self._slots.take()
        owner = new_owner()
        try:
            if slot is not None:
                watchdog.take_over(self._store, slot, owner)
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work(owner, slot))
        except (Exception, asyncio.CancelledError):
            log.exception("the engine crashed; the next wake-up starts another")
        finally:
            if slot is not None:
                slot.stop_listening()
                slot.clear()
                slot.release()

    async def _work(self, owner: str, slot: Slot | None) -> None:
        engine = self._build(self._settings, owner=owner)
        self._engine = engine
        wake_socket = (
            None
            if slot is None
            else WakeSocket(slot.listen(), engine, self._wake_event)
        )
        try:
            if not self._closing.is_set():
                await engine.run(linger_s=None, wake=self._wake_event)
        finally:
            if wake_socket is not None:
                wake_socket.close()

    def _stop(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def _is_idle(self, job_id: int) -> bool:
        try:
            with self._store.read() as session:
                return job_status.is_idle(session, job_id)
        except SQLAlchemyError as problem:
            log.warning("cannot look at job %d: %s", job_id, problem)
            return False


_shared: WarmEngine | None = None
_pid = 0
_making = threading.Lock()


def shared(settings: Settings) -> WarmEngine:
    """The engine of this process, made at the first call; never that of a parent."""
    global _shared, _pid  # noqa: PLW0603 - one per process is what it is for
    with _making:
        if _shared is None or _pid != os.getpid():
            _shared = WarmEngine(settings)
            _pid = os.getpid()
    return _shared
