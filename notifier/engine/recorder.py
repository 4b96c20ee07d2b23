"""Commits the progress of all running jobs together, a few times a second."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bottlepost.logs import context
from datastore.outbox import leases, progress
from datastore.outbox.progress import Step
from models.base import utc_now
from notifier.engine.async_store import AsyncStore
from notifier.engine.tally import Tally

log = logging.getLogger(__name__)

# Outcomes wait this long for others to share their transaction …
FLUSH_INTERVAL_S = 0.05
# … but the end of a job waits only this long for each job that is running, because the
# next message of its chat may wait for it …
JOB_END_DELAY_S = 0.0025
# … and no longer than this.
LONGEST_JOB_END_DELAY_S = 0.03
# The time until a step is recorded that had to wait for a sender's commit.
DEFERRED_DELAY_S = 0.005
# With this many outcomes a record is not delayed: after a crash all of them would be
# pushed again.
MAX_UNRECORDED = 1000


class Leased(Protocol):
    """A job whose lease this engine keeps."""

    @property
    def job_id(self) -> int: ...

    @property
    def attempts(self) -> int:
        """Which claim of the job it works on."""

    @property
    def is_released(self) -> bool:
        """Whether the job has ended or is given back."""


class Recorder:
    """Writes the steps of jobs and renews the jobs' leases; one per engine."""

    def __init__(
        self,
        store: AsyncStore,
        *,
        owner: str,
        lease: timedelta,
        on_lost: Callable[[Mapping[int, int | None]], None],
        on_refused: Callable[[int], Awaitable[None]],
        on_due: Callable[[int], None],
    ) -> None:
        self._store = store
        self._owner = owner
        self._lease = lease
        # Called with jobs that run here although another engine has their lease now,
        # and with the claim (attempts) on which each run is based.
        self._on_lost = on_lost
        # Called with a job whose step the database refuses.
        self._on_refused = on_refused
        # Called with an id when jobs with this or higher ids may have become due.
        self._on_due = on_due
        self._leased: dict[int, Leased] = {}
        # When the leases were renewed the last time, and set at each time.
        self._renewed_at = time.monotonic()
        self._renewed = asyncio.Event()
        # Tallies with something new; in order, so that records are made in order.
        self._changed: dict[Tally, None] = {}
        # Last steps of jobs without a tally, and what is called when one is recorded.
        self._ends: list[Step] = []
        self._on_recorded: dict[int, Callable[[], None]] = {}
        # Steps for the next flush, by job: a sender was adding a job behind theirs.
        self._deferred: dict[int, Step] = {}
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._unrecorded = 0
        self._flushed: asyncio.Future[None] = _new_future()

    def add(self, job: Leased) -> None:
        """Keep the job's lease from now on."""
        self._leased[job.job_id] = job

    def remove(self, job: Leased) -> None:
        if self._leased.get(job.job_id) is job:
            del self._leased[job.job_id]
            self._deferred.pop(job.job_id, None)
        if isinstance(job, Tally):
            self._changed.pop(job, None)

    def note(self, tally: Tally) -> None:
        """The tally has something new for the next record, which need not be soon."""
        self._changed[tally] = None

    def count_outcomes(self, tally: Tally, number: int) -> None:
        """Note outcomes; called for each group, so it does next to nothing."""
        self._changed[tally] = None
        before = self._unrecorded
        self._unrecorded += number
        if before < MAX_UNRECORDED <= self._unrecorded:
            self._due.set()
        elif not before:
            self._arm(FLUSH_INTERVAL_S)

    def record_end(self, step: Step, on_recorded: Callable[[], None]) -> None:
        """Record the last step of a job; then, or if it is refused, make the call."""
        self._ends.append(step)
        self._on_recorded[step.job_id] = on_recorded
        self._arm_for_end()

    async def recorded(self, tally: Tally) -> None:
        """Return when everything that the tally knows now is in the database."""
        self._changed[tally] = None
        await self._next_flush()
        while tally.job_id in self._deferred:
            await self._next_flush()

    def _arm_for_end(self) -> None:
        delay_s = len(self._leased) * JOB_END_DELAY_S
        self._arm(min(delay_s, LONGEST_JOB_END_DELAY_S))

    async def _next_flush(self) -> None:
        self._arm_for_end()
        # A running flush has taken its future already; this is the next flush's.
        await asyncio.shield(self._flushed)

    async def run(self) -> None:
        """Flush when due, forever; cancelled by the engine after a last `flush`."""
        while True:
            await self._due.wait()
            await self.flush()

    async def flush(self) -> None:
        self._due.clear()
        self._unrecorded = 0
        self._disarm()
        flushed, self._flushed = self._flushed, _new_future()
        try:
            await self._record_steps()
        except BaseException:
            flushed.cancel()
            raise
        flushed.set_result(None)

    async def _record_steps(self) -> None:
        now = utc_now()
        changed, self._changed = self._changed, {}
        ends, self._ends = self._ends, []
        taken = [*ends, *(tally.take_step(now) for tally in changed)]
        steps = {step.job_id: step for step in taken if step is not None}
        deferred, self._deferred = self._deferred, {}
        for job_id, earlier in deferred.items():
            later = steps.get(job_id)
            steps[job_id] = earlier if later is None else later.behind(earlier)
        if steps:
            await self._try_to_record(list(steps.values()))

    async def _try_to_record(self, steps: list[Step]) -> None:
        try:
            await self._record(steps)
        except SQLAlchemyError:
            log.exception("steps of %d jobs cannot be recorded together", len(steps))
            for step in steps:
                await self._record_alone(step)

    async def _record(self, steps: list[Step]) -> None:
        lost, deferred, due_from = await self._store.write_leased(
            self._lease, progress.record, self._owner, steps
        )
        self._deferred |= {
            step.job_id: step for step in steps if step.job_id in deferred
        }
        if deferred:
            self._arm(DEFERRED_DELAY_S)
        if due_from is not None:
            self._on_due(due_from)
        self._on_lost(
            {each.job_id: each.attempts for each in steps if each.job_id in lost}
        )
        for step in steps:
            if step.job_id not in deferred:
                self._end(step.job_id)

    async def _record_alone(self, step: Step) -> None:
        """Record one step, so that a job that the database refuses stops no other."""
        try:
            await self._record([step])
        except SQLAlchemyError:
            log.exception(
                "job %d: its progress cannot be recorded",
                step.job_id,
                extra={context.JOB: step.job_id},
            )
            await self._on_refused(step.job_id)
            self._end(step.job_id)

    def _end(self, job_id: int) -> None:
        on_recorded = self._on_recorded.pop(job_id, None)
        if on_recorded is not None:
            on_recorded()

    @property
    def has_leases(self) -> bool:
        """Whether the leases are certainly ours, unless their end was recorded.

        They may not be when this process was stopped, or the database was away.
        Another engine may have gone on then, and a push of ours would overtake its.
        """
        return time.monotonic() < self._renewed_at + self._lease.total_seconds()

    async def wait_for_lease(self) -> None:
        """Return when the leases are ours; lost jobs are cancelled meanwhile."""
        while not self.has_leases:
            self._renewed.clear()
            await self._renewed.wait()

    async def keep_leases(self) -> None:
        """Renew the leases of jobs with slow devices, forever."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            began_at = time.monotonic()
            await self._renew_all()
            self._renewed_at = began_at
            self._renewed.set()

    async def _renew_all(self) -> None:
        if held := dict(self._leased):
            kept = await self._store.write(_renew, self._owner, list(held), self._lease)
            # A job that was given back meanwhile is not lost, even if it is here again.
            self._on_lost(
                {
                    job_id: job.attempts
                    for job_id, job in held.items()
                    if job_id not in kept
                    and not job.is_released
                    and self._leased.get(job_id) is job
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


def _renew(
    session: Session, owner: str, job_ids: list[int], lease: timedelta
) -> set[int]:
    # Like in `AsyncStore.write_leased`, a wait for the database costs no lease time.
    return leases.renew(session, owner, job_ids, utc_now() + lease)


def _new_future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()
