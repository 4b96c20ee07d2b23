"""The jobs that one engine is working on."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from datastore.outbox import Claim
from notifier.engine.chat_order import Turn

# More jobs than these that only wait for slow devices take room from others.
MAX_LEFT = 1024


class Run(Protocol):
    """The work of an engine on one job."""

    @property
    def claim(self) -> Claim: ...

    @property
    def turn(self) -> Turn: ...

    @property
    def is_shard(self) -> bool:
        """Whether it works on a part of a large job."""

    @property
    def is_released(self) -> bool:
        """Whether the job has ended or is given back."""

    def cancel(self) -> None:
        """Stop working on the job; record nothing more."""


class RunningJobs:
    """Runs, by job.

    A run reports when its turn has come and when it becomes a shard, so that a claim
    need not look at every job to know how many wait and how many are shards.
    """

    def __init__(self) -> None:
        self._by_job: dict[int, Run] = {}
        self._waiting: set[Run] = set()
        self._shards: set[Run] = set()
        # Jobs that only wait for devices that are slow.
        self._left_to_stragglers: set[Run] = set()
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

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._by_job.values()))

    def add(self, run: Run) -> None:
        """A run takes the place of an earlier run of the same job."""
        earlier = self._by_job.get(run.claim.job_id)
        if earlier is not None:
            self.remove(earlier)
        self._by_job[run.claim.job_id] = run
        if run.claim.holds_chat and not run.is_shard:
            self._lasts[run.claim.job_id] = None
        if run.turn.is_awaited:
            self._waiting.add(run)
        if run.is_shard:
            self._shards.add(run)

    def replace(self, run: Run, heir: Run) -> None:
        """Another run goes on with the work of this one, whose turn has come."""
        if self._has(run):
            self._by_job[run.claim.job_id] = heir
            self._waiting.discard(run)

    def remove(self, run: Run) -> None:
        """Does nothing if another run of the same job has taken its place."""
        if self._has(run):
            del self._by_job[run.claim.job_id]
            self._waiting.discard(run)
            self._left_to_stragglers.discard(run)
            self._shards.discard(run)
            self._lasts.pop(run.claim.job_id, None)

    def begin_turn(self, run: Run) -> None:
        """The run waits no more for the job before it in its chat."""
        self._waiting.discard(run)

    def leave_to_stragglers(self, run: Run) -> None:
        """All but a few slow devices have answered the run."""
        if self._has(run):
            self._left_to_stragglers.add(run)

    def become_shard(self, run: Run) -> None:
        """The run's job has been split."""
        if self._has(run):
            self._shards.add(run)
            self._lasts.pop(run.claim.job_id, None)

    def find(self, job_ids: Iterable[int]) -> list[Run]:
        """The runs of these jobs, as far as there are any."""
        return [self._by_job[job] for job in job_ids if job in self._by_job]

    def is_held(self, claim: Claim) -> bool:
        """Whether a run is based on this very claim, and has not released the job."""
        run = self._by_job.get(claim.job_id)
        return run is not None and self.has(claim) and not run.is_released

    def has(self, claim: Claim) -> bool:
        """Whether a run is based on this very claim. Any thread may ask."""
        found = self._by_job.get(claim.job_id)
        return found is not None and found.claim.attempts == claim.attempts

    def turn_after(self, job_id: int | None) -> Turn:
        """A turn behind that job; without a job it comes at once.

        It never comes if that job does not run here any more.
        """
        if job_id is None:
            return Turn()
        run = self._by_job.get(job_id)
        if run is None:
            return Turn.that_never_comes()
        self._lasts.pop(job_id, None)
        return Turn(run.turn)

    @property
    def lasts(self) -> list[int]:
        """The last job of each chat here: others may wait for it in the outbox."""
        return list(self._lasts)

    def _has(self, run: Run) -> bool:
        return self._by_job.get(run.claim.job_id) is run
