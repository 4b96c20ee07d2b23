"""The jobs that one engine is working on."""

import asyncio
from collections.abc import Iterable

from notifier.engine.chat_order import Turn
from notifier.engine.job_run import JobRun


class RunningJobs:
    """Runs with their tasks, by job."""

    def __init__(self) -> None:
        self._by_job: dict[int, tuple[JobRun, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._by_job)

    @property
    def waiting(self) -> int:
        """How many wait for their turn in their chat."""
        return sum(run.turn.is_awaited for run, _ in self._by_job.values())

    @property
    def shards(self) -> int:
        return sum(run.is_shard for run, _ in self._by_job.values())

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [task for _, task in self._by_job.values()]

    def add(self, run: JobRun, task: asyncio.Task[None]) -> None:
        self._by_job[run.claim.job_id] = run, task

    def remove(self, run: JobRun) -> None:
        """Unless another run of the same job has taken its place."""
        job_id = run.claim.job_id
        if any(kept is run for kept, _ in self.among([job_id])):
            del self._by_job[job_id]

    def among(self, job_ids: Iterable[int]) -> list[tuple[JobRun, asyncio.Task[None]]]:
        """Those of the jobs that are worked on."""
        return [self._by_job[job] for job in job_ids if job in self._by_job]

    def keeps(self, job_id: int) -> bool:
        """Whether a run has the job and has not let it go."""
        return any(not run.tally.is_let_go for run, _ in self.among([job_id]))

    def turn_after(self, job_id: int | None) -> Turn:
        """The turn of who follows the job in its chat; at once without one."""
        return Turn(None if job_id is None else self._by_job[job_id][0].turn)
