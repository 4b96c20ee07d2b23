"""Dispatcher `thread`: a warm engine on a thread of the web worker."""

import asyncio
import logging
import threading
from collections.abc import Callable

from config import Settings
from notifier.engine import BuildEngine, Engine, build_engine, new_event_loop, new_owner
from notifier.process.per_process import PerProcess
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)

# A worker that ends lets what is in flight be answered for so long.
STOP_S = 5.0


class ThreadDispatcher(PerProcess):
    """Shares the web worker's interpreter: pushing slows its answers down.

    The thread begins with the first job, so that a master process which only forks
    its workers has none. What a dead worker leaves comes after its leases have ended.
    """

    def __init__(self, settings: Settings, build: BuildEngine = build_engine) -> None:
        super().__init__()
        self._settings = settings
        self._build = build

    def dispatch(self, job_id: int) -> None:
        try:
            self.start()
            self._wake()
        except Exception:
            log.exception("job %d: nobody was woken; the watchdog looks", job_id)

    def _begin(self) -> None:
        self._engine: _EngineThread | None = None
        self._replacing = threading.Lock()
        self._watchdog = Watchdog(self._settings, self._wake)

    def _end(self) -> None:
        self._watchdog.close()
        if self._engine is not None:
            self._engine.stop()

    def _wake(self) -> None:
        with self._replacing:
            if self._engine is None or not self._engine.wake():
                self._engine = _EngineThread(self._settings, self._build)
                # It looks at the outbox first thing.
                self._engine.start()


class _EngineThread(threading.Thread):
    """Runs one engine until it is told to stop."""

    def __init__(self, settings: Settings, build: BuildEngine) -> None:
        super().__init__(name="engine", daemon=True)
        self._settings = settings
        self._build = build
        self._loop = new_event_loop()
        self._wake_event = asyncio.Event()
        self._engine: Engine | None = None
        self._stopping = False

    def wake(self) -> bool:
        """Whether the engine is there to be woken."""
        return self._call(self._wake_event.set)

    def stop(self) -> None:
        if self._call(self._stop):
            self.join(STOP_S)

    def _call(self, what: Callable[[], None]) -> bool:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            # The loop is closed: the engine has failed.
            return False
        return True

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work())
        except Exception:
            log.exception("the engine ended; the next job starts another")

    async def _work(self) -> None:
        self._engine = self._build(self._settings, owner=new_owner())
        if not self._stopping:
            await self._engine.run(linger_s=None, wake=self._wake_event)

    def _stop(self) -> None:
        self._stopping = True
        if self._engine is not None:
            self._engine.stop()


create = ThreadDispatcher
