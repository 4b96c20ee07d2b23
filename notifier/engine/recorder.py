"""Commits the progress of all running jobs together, a few times a second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from datastore.outbox import leases, progress
from models.base import utc_now
from notifier.engine.async_store import AsyncStore
from notifier.engine.tally import Tally

log = logging.getLogger(__name__)

# Outcomes wait this long for others to share their transaction …
GROUP_S = 0.05
# … longer when senders queue for the database …
CROWD_GROUP_S = 0.1
# … but the end of a job, for which a next message may be waiting, not as long, unless
# there are many of them.
SOON_S = 0.005
FEW = 8
# More than this many are not kept waiting: they would be pushed again after a crash.
GROUP_SIZE = 1000


class Recorder:
    """Writes tallies down and keeps their leases; one per engine."""

    def __init__(
        self,
        store: AsyncStore,
        *,
        owner: str,
        lease_s: float,
        on_lost: Callable[[set[int]], None],
        on_refused: Callable[[int], Awaitable[None]],
    ) -> None:
        self._store = store
        self._owner = owner
        # Told of jobs that are worked on here but belong to another engine by now.
        self._on_lost = on_lost
        # Told of a job whose progress the database does not take.
        self._on_refused = on_refused
        self._lease = timedelta(seconds=lease_s)
        self._tallies: dict[int, Tally] = {}
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._since_flush = 0
        self._flushed: asyncio.Future[None] = _new_future()

    def watch(self, tally: Tally) -> None:
        self._tallies[tally.job_id] = tally

    def forget(self, tally: Tally) -> None:
        if self._tallies.get(tally.job_id) is tally:
            del self._tallies[tally.job_id]

    def count_outcome(self) -> None:
        """An outcome has come in; called once for each, so it does next to nothing."""
        self._since_flush += 1
        if self._since_flush == 1:
            self._arm(self._group_s)
        elif self._since_flush == GROUP_SIZE:
            self._due.set()

    @property
    def _group_s(self) -> float:
        return CROWD_GROUP_S if self._store.is_crowded else GROUP_S

    async def settle(self) -> None:
        """Return when all that every tally knows now is in the database."""
        is_quiet = len(self._tallies) <= FEW and not self._store.is_crowded
        self._arm(SOON_S if is_quiet else self._group_s)
        # A flush under way has its future already; this one is the next one's.
        await asyncio.shield(self._flushed)

    async def run(self) -> None:
        """Flush when due, forever; cancelled by the engine after a last `flush`."""
        while True:
            await self._due.wait()
            await self.flush()

    async def flush(self) -> None:
        self._due.clear()
        self._since_flush = 0
        self._disarm()
        flushed, self._flushed = self._flushed, _new_future()
        try:
            await self._write_steps()
        except BaseException:
            flushed.cancel()
            raise
        flushed.set_result(None)

    async def _write_steps(self) -> None:
        now = utc_now()
        steps = [tally.take(now) for tally in self._tallies.values()]
        changed = [step for step in steps if step is not None]
        if not changed:
            return
        try:
            await self._write(changed)
        except SQLAlchemyError:
            log.exception("steps of %d jobs cannot be recorded together", len(changed))
            for step in changed:
                await self._write_alone(step)

    async def _write(self, steps: list[progress.Step]) -> None:
        lost = await self._store.write(_record, self._owner, steps, self._lease)
        self._on_lost(lost)

    async def _write_alone(self, step: progress.Step) -> None:
        """One job that the database refuses must not keep the others from theirs."""
        try:
            await self._write([step])
        except SQLAlchemyError:
            log.exception("job %d: its progress cannot be recorded", step.job_id)
            await self._on_refused(step.job_id)

    async def keep_leases(self) -> None:
        """Renew the leases of jobs whose devices take their time, forever."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            watched = dict(self._tallies)
            if not watched:
                continue
            kept = await self._store.write(
                _renew, self._owner, list(watched), self._lease
            )
            # A job that was given back meanwhile is not lost, even if it is here again.
            self._on_lost(
                {
                    job_id
                    for job_id, tally in watched.items()
                    if job_id not in kept
                    and not tally.is_let_go
                    and self._tallies.get(job_id) is tally
                }
            )

    def _arm(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None and self._timer.when() <= loop.time() + delay_s:
            return
        self._disarm()
        self._timer = loop.call_later(delay_s, self._due.set)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


# Both may have waited for the database: their leases begin when they come through.


def _record(
    session: Session, owner: str, steps: list[progress.Step], lease: timedelta
) -> set[int]:
    now = utc_now()
    return progress.record(session, owner, steps, now=now, lease_until=now + lease)


def _renew(
    session: Session, owner: str, job_ids: list[int], lease: timedelta
) -> set[int]:
    return leases.renew(session, owner, job_ids, utc_now() + lease)


def _new_future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()
