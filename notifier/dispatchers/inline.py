"""Dispatcher `inline`: pushes inside the request; exists for comparison."""

import asyncio

from config import Settings
from notifier.engine import BuildEngine, build_engine, new_owner
from notifier.process.per_process import PerProcess
from notifier.process.watchdog import Watchdog


class InlineDispatcher(PerProcess):
    """The only dispatcher whose `dispatch` returns when the pushes have been sent.

    Each request builds an engine and its connections. The watchdog's thread does the
    retries and the jobs of dead workers.
    """

    def __init__(self, settings: Settings, build: BuildEngine = build_engine) -> None:
        super().__init__(settings)
        self._build = build

    def _on_start(self) -> None:
        self._watchdog = Watchdog(self._settings, self._on_due)

    def _on_close(self) -> None:
        self._watchdog.close()

    def _wake(self, job_id: int) -> None:
        asyncio.run(self._work(job_id))

    async def _work(self, job_id: int) -> None:
        engine = self._build(self._settings, owner=new_owner())
        engine.expect(job_id)
        await engine.run(linger_s=0.0, wake=asyncio.Event())


create = InlineDispatcher
