"""The manager's process: a BaseManager server in front of warm engines."""

import logging
import signal
import sys
from types import FrameType

from config import Settings
from notifier.dispatchers.manager_wire import PushServer, address
from notifier.engine import ANY_JOB
from notifier.process.engine_pool import EnginePool
from notifier.process.engine_thread import EngineThread
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)

STOP_S = 12.0


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    engines = (
        _SingleEngine(settings) if settings.pool_size == 1 else EnginePool(settings)
    )
    server = PushServer(settings, lambda job_id: engines.send([job_id]))
    # The manager also works when no web worker runs.
    watchdog = Watchdog(settings, lambda: engines.send([ANY_JOB]))
    log.info("the manager listens on %s:%d", *address(settings))
    try:
        server.serve_forever()
    finally:
        watchdog.close()
        engines.close()


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _SingleEngine:
    """In place of a pool of one: an engine in the manager's own process."""

    def __init__(self, settings: Settings) -> None:
        self._engine = EngineThread(settings)

    def send(self, job_ids: list[int]) -> None:
        for job_id in job_ids:
            self._engine.wake(job_id)

    def close(self) -> None:
        self._engine.stop(STOP_S)
