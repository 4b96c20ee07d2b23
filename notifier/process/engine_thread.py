"""A warm engine on a thread: of a worker process, or of a web worker."""

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
from notifier.engine import (
    ANY_JOB,
    BuildEngine,
    Engine,
    IsRetired,
    build_engine,
    is_stuck,
    never_retired,
    new_event_loop,
    new_owner,
)
from notifier.process import watchdog
from notifier.process.per_process import PerProcess
from notifier.process.slots import Slot, worker_slots
from notifier.process.wake_socket import WakeSocket
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)

# Longer than any job should take; a longer one continues without a waiting task.
LONGEST_WORK_S = 600.0
FIRST_CHECK_S = 0.005
LONGEST_CHECK_S = 0.25
# At most one start per second, so that an engine that crashes at once does not spin.
RESTART_S = 1.0
# A web worker that ends waits this long for the pushes in flight.
DISPATCHER_STOP_S = 5.0

Work = Callable[[], None]
StartThread = Callable[[Work], object]


def _start_thread(work: Work) -> None:
    threading.Thread(target=work, name="engine", daemon=True).start()


class EngineThread:
    """Runs an engine on a thread, from the first wake-up on, with warm connections.

    It has a slot among this host's workers, and a watchdog: without wake-ups it only
    gets slower.
    """

    def __init__(
        self,
        settings: Settings,
        build: BuildEngine = build_engine,
        start_thread: StartThread = _start_thread,
        is_retired: IsRetired = never_retired,
    ) -> None:
        self._settings = settings
        self._build = build
        self._is_retired = is_retired
        self._start_thread = start_thread
        self._slots = worker_slots(settings)
        self._store = Datastore.of(settings)
        self._engine: Engine | None = None
        self._watchdog: Watchdog | None = None
        self._starting = threading.Lock()
        self._closing = threading.Event()
        self._stop_waiting = False
        self._ended = threading.Event()
        self._ended.set()
        self._restart_wanted = False

    def watch(self, on_due: Callable[[], None] | None = None) -> None:
        """Have the watchdog look at the outbox, and wake the engine if work is due."""
        with self._starting:
            if self._watchdog is None and not self._closing.is_set():
                self._watchdog = Watchdog(
                    self._settings, on_due or self.wake, slots=self._slots
                )

    def wake(self, job_id: int = ANY_JOB) -> None:
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
            self._restart_wanted = True
            # The loop is closed if the engine has crashed. The thread then starts
            # another engine after its pause.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake_engine, job_id)

    def work(self, job_id: int) -> bool:
        """Wait until the job needs no work now; False if that takes too long.

        It also waits for a job that another engine has claimed, and takes it over as
        soon as its lease has ended.
        """
        deadline = time.monotonic() + LONGEST_WORK_S
        pause_s = FIRST_CHECK_S
        while not self._is_idle(job_id):
            self.wake(job_id)
            must_return = self._stop_waiting or time.monotonic() > deadline
            if must_return or self._closing.wait(pause_s):
                return False
            pause_s = min(pause_s * 1.5, LONGEST_CHECK_S)
        return True

    def stop_waiting(self) -> None:
        """Make `work` return early; a signal handler may call it."""
        # Not an Event: the signal may have interrupted `work` while it holds its lock.
        self._stop_waiting = True

    def stop(self, timeout_s: float) -> None:
        """Finish what is in flight and give the leases back; waits for `timeout_s`."""
        self._closing.set()
        if self._watchdog is not None:
            self._watchdog.close()
        if not self._ended.is_set():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop_engine)
            self._ended.wait(timeout_s)

    def _run(self) -> None:
        """Run an engine; after a crash another one, if it was woken meanwhile."""
        while True:
            restart_at = time.monotonic() + RESTART_S
            self._run_engine()
            self._closing.wait(max(restart_at - time.monotonic(), 0.0))
            with self._starting:
                if self._closing.is_set() or not self._restart_wanted:
                    self._ended.set()
                    return
                self._prepare()

    def _prepare(self) -> None:
        # A new engine looks at the outbox first of all.
        self._restart_wanted = False
        self._engine = None
        self._loop = new_event_loop()
        self._wake_event = asyncio.Event()

    def _run_engine(self) -> None:
        slot = self._slots.take()
        owner = new_owner()
        was_stuck = False
        try:
            if slot is not None:
                watchdog.take_over(self._store, slot, owner)
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work(owner, slot))
        except (Exception, asyncio.CancelledError) as problem:
            was_stuck = is_stuck(problem)
            if was_stuck:
                self._leave_stuck()
            else:
                log.exception("the engine crashed; the next wake-up starts another")
        finally:
            if slot is not None:
                _give_back(slot, was_stuck=was_stuck)

    def _leave_stuck(self) -> None:
        """Go on with another engine, on new connections; its owner has a new name."""
        log.exception("a query hangs; another engine goes on")
        self._store = Datastore.of(self._settings)
        with self._starting:
            self._restart_wanted = True

    async def _work(self, owner: str, slot: Slot | None) -> None:
        engine = self._build(self._settings, owner=owner, is_retired=self._is_retired)
        self._engine = engine
        wake_socket = (
            None
            if slot is None
            else WakeSocket(slot.open_socket(), engine, self._wake_event)
        )
        try:
            if not self._closing.is_set():
                await engine.run(linger_s=None, wake=self._wake_event)
        finally:
            if wake_socket is not None:
                wake_socket.close()

    def _wake_engine(self, job_id: int) -> None:
        if self._engine is not None:
            self._engine.expect(job_id)
        self._wake_event.set()

    def _stop_engine(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def _is_idle(self, job_id: int) -> bool:
        try:
            with self._store.read() as session:
                return job_status.is_idle(session, job_id)
        except SQLAlchemyError as problem:
            log.warning("cannot look at job %d: %s", job_id, problem)
            return False


def _give_back(slot: Slot, *, was_stuck: bool) -> None:
    if was_stuck:
        # The name that stays says that its owner died: the next engine, or a watchdog,
        # releases the leases.
        slot.close_socket()
        slot.unlock()
    else:
        slot.release()


class EngineThreadDispatcher(PerProcess):
    """Runs the engine in the web worker itself.

    The engine's thread starts with the first job, so a master process that only forks
    its workers has none.
    """

    def __init__(
        self,
        settings: Settings,
        build: BuildEngine = build_engine,
        start_thread: StartThread = _start_thread,
    ) -> None:
        super().__init__(settings)
        self._build = build
        self._start_thread = start_thread

    def _on_start(self) -> None:
        self._engine = EngineThread(
            self._settings,
            self._build,
            self._start_thread,
            is_retired=self._succession.is_outdated,
        )
        self._engine.watch(self._on_due)

    def _on_close(self) -> None:
        self._engine.stop(DISPATCHER_STOP_S)

    def _wake(self, job_id: int) -> None:
        if not self._succession.leave_to_newer(wait=False):
            self._engine.wake(job_id)


_shared: EngineThread | None = None
_pid = 0
_making = threading.Lock()


def shared(settings: Settings, is_retired: IsRetired = never_retired) -> EngineThread:
    """The engine of this process, made at the first call; never that of a parent."""
    global _shared, _pid  # noqa: PLW0603 - one per process is its purpose
    with _making:
        if _shared is None or _pid != os.getpid():
            _shared = EngineThread(settings, is_retired=is_retired)
            _pid = os.getpid()
    return _shared
