"""Dispatcher `inline`: pushes in the request, the way it was; kept to compare with."""

import asyncio
import logging

from config import Settings
from notifier.engine import BuildEngine, build_engine, new_owner
from notifier.process.per_process import PerProcess
from notifier.process.watchdog import Watchdog

log = logging.getLogger(__name__)


class InlineDispatcher(PerProcess):
    """The one dispatcher whose `dispatch` returns when the pushes have been made.

    Each request builds an engine and its connections. Retries, and what a dead worker
    left, are done by the watchdog's thread.
    """

    def __init__(self, settings: Settings, build: BuildEngine = build_engine) -> None:
        super().__init__()
        self._settings = settings
        self._build = build

    def dispatch(self, job_id: int) -> None:
        try:
            self.start()
            self._work()
        except Exception:
            log.exception("job %d: not pushed yet; the watchdog tries again", job_id)

    def _begin(self) -> None:
        self._watchdog = Watchdog(self._settings, self._work)

    def _end(self) -> None:
        self._watchdog.close()

    def _work(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        engine = self._build(self._settings, owner=new_owner())
        await engine.run(linger_s=0.0, wake=asyncio.Event())


create = InlineDispatcher
