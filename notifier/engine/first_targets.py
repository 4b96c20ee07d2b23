"""Reads the first devices of jobs whose turn in their chat has come."""

import asyncio
from collections.abc import Sequence

from datastore.outbox import Claim, due_work, fanout
from models.base import utc_now
from models.pushes import Target
from notifier.engine.async_store import AsyncStore

Targets = Sequence[Target] | None


class FirstTargets:
    """Reads for many jobs in one trip to the datastore; one per engine.

    A job that waits for its turn has no devices yet, because by then they might have
    left, and its message might have been deleted. While one trip is on its way, the
    jobs whose turn comes gather for the next one.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._waiting: list[tuple[Claim, asyncio.Future[Targets]]] = []
        self._task: asyncio.Task[None] | None = None

    async def read(self, claim: Claim) -> Targets:
        """Up to `due_work.FIRST_TARGETS` devices; None if the message was deleted."""
        found: asyncio.Future[Targets] = asyncio.get_running_loop().create_future()
        self._waiting.append((claim, found))
        if self._task is None:
            self._task = asyncio.create_task(self._read_all(), name="first-targets")
        return await found

    async def _read_all(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._read_together(waiting)
            except Exception:
                # A job that cannot be read must not affect the others.
                for one in waiting:
                    await self._read_alone(*one)
        self._task = None

    async def _read_together(
        self, waiting: list[tuple[Claim, asyncio.Future[Targets]]]
    ) -> None:
        claims = [claim for claim, _ in waiting]
        targets = await self._store.read(due_work.read_first_targets, claims)
        for claim, found in waiting:
            if claim.job_id not in targets:
                targets[claim.job_id] = await self._read_slowly(claim)
            if not found.done():
                found.set_result(targets[claim.job_id])

    async def _read_slowly(self, claim: Claim) -> list[Target] | None:
        return await self._store.call(
            fanout.next_targets,
            claim,
            after=claim.cursor,
            limit=due_work.FIRST_TARGETS,
            now=utc_now(),
        )

    async def _read_alone(self, claim: Claim, found: asyncio.Future[Targets]) -> None:
        try:
            await self._read_together([(claim, found)])
        except Exception as problem:
            if not found.done():
                found.set_exception(problem)
