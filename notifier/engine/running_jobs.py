"""The jobs that one engine is working on."""

import asyncio
from collections.abc import Iterable

from datastore.outbox import Claim
from notifier.engine.chat_order import Turn
from notifier.engine.job_run import JobRun

# More jobs than these that only wait for slow devices take room from others.
MAX_LEFT = 1024


class RunningJobs:
    """Runs with their tasks, by job.

    A run reports when its turn has come and when it becomes a shard, so that a claim
    need not look at every job to know how many wait and how many are shards.
    """

    def __init__(self) -> None:
        self._by_job: dict[int, tuple[JobRun, asyncio.Task[None]]] = {}
        self._waiting: set[JobRun] = set()
        self._shards: set[JobRun] = set()
        # Jobs that only wait for devices that are slow.
        self._left_to_stragglers: set[JobRun] = set()
        # The last job of each chat here, behind which others may wait in the outbox.
        self._lasts: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._by_job)

    @property
    def started(self) -> int:
        """How many jobs have work to do, and do not only wait."""
        few_slow = min(len(self._left_to_stragglers), MAX_LEFT)
        return len(self._by_job) - len(self._waiting) - few_slow

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn in their chat."""
        return len(self._waiting)

    @property
    def shards(self) -> int:
        """How many jobs are shards of large jobs."""
        return len(self._shards)

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [task for _, task in self._by_job.values()]

    def add(self, run: JobRun, task: asyncio.Task[None]) -> None:
        """A run takes the place of an earlier run of the same job."""
        for earlier, _ in self.find([run.claim.job_id]):
            self.remove(earlier)
        self._by_job[run.claim.job_id] = run, task
        if run.claim.holds_chat and not run.is_shard:
            self._lasts[run.claim.job_id] = None
        if run.turn.is_awaited:
            self._waiting.add(run)
        if run.is_shard:
            self._shards.add(run)

    def remove(self, run: JobRun) -> None:
        """Does nothing if another run of the same job has taken its place."""
        if self._has(run):
            del self._by_job[run.claim.job_id]
            self._waiting.discard(run)
            self._left_to_stragglers.discard(run)
            self._shards.discard(run)
            self._lasts.pop(run.claim.job_id, None)

    def begin_turn(self, run: JobRun) -> None:
        """The run waits no more for the job before it in its chat."""
        self._waiting.discard(run)

    def leave_to_stragglers(self, run: JobRun) -> None:
        """All but a few slow devices have answered the run."""
        if self._has(run):
            self._left_to_stragglers.add(run)

    def become_shard(self, run: JobRun) -> None:
        """The run's job has been split."""
        if self._has(run):
            self._shards.add(run)
            self._lasts.pop(run.claim.job_id, None)

    def find(self, job_ids: Iterable[int]) -> list[tuple[JobRun, asyncio.Task[None]]]:
        """The runs of these jobs, as far as there are any."""
        return [self._by_job[job] for job in job_ids if job in self._by_job]

    def is_held(self, job_id: int) -> bool:
        """Whether a run works on the job and has not released it."""
        return any(not run.tally.is_released for run, _ in self.find([job_id]))

    def has(self, claim: Claim) -> bool:
        """Whether a run is based on this very claim. Any thread may ask."""
        found = self._by_job.get(claim.job_id)
        return found is not None and found[0].claim.attempts == claim.attempts

    def turn_after(self, job_id: int | None) -> Turn:
        """A turn behind that job; without a job it comes at once.

        It never comes if that job does not run here any more.
        """
        if job_id is None:
            return Turn()
        for run, _ in self.find([job_id]):
            self._lasts.pop(job_id, None)
            return Turn(run.turn)
        return Turn.that_never_comes()

    @property
    def lasts(self) -> list[int]:
        """The last job of each chat here: others may wait for it in the outbox."""
        return list(self._lasts)

    def _has(self, run: JobRun) -> bool:
        return any(kept is run for kept, _ in self.find([run.claim.job_id]))
