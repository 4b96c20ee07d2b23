"""The jobs that one engine is working on."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from datastore.outbox import Claim
from notifier.engine import rhythm
from notifier.engine.chat_order import Turn
from notifier.engine.pushes import Pushes

# More jobs than these that only wait for slow devices take room from others.
MAX_LEFT = 1024
# A conversation gets no further jobs while so many of it wait here for their turn.
MAX_WAITING_OF_CHAT = 128


class Run(Protocol):
    """The work of an engine on one job."""

    @property
    def claim(self) -> Claim: ...

    @property
    def turn(self) -> Turn: ...

    @property
    def pushes(self) -> Pushes: ...

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
        # How many of them there are, by chat.
        self._waiting_of_chat: Counter[int] = Counter()
        self._shards: set[Run] = set()
        # Jobs that only wait for devices that are slow.
        self._left: set[Run] = set()
        # Jobs whose pushes were under way when this was last full, with the number of
        # their answers.
        self._answers: dict[int, int] = {}
        self._counted_at = 0.0
        # The last job of each chat here, behind which others may wait in the outbox,
        # and its chat.
        self._lasts: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._by_job)

    @property
    def started(self) -> int:
        """How many jobs have work to do, and do not only wait."""
        few_slow = min(len(self._left), MAX_LEFT)
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
            self._lasts[run.claim.job_id] = run.claim.chat_id
        if run.turn.is_awaited:
            self._waiting.add(run)
            self._waiting_of_chat[run.claim.chat_id] += 1
        if run.is_shard:
            self._shards.add(run)

    def replace(self, run: Run, heir: Run) -> None:
        """Another run goes on with the work of this one, whose turn has come."""
        if self._has(run):
            self._by_job[run.claim.job_id] = heir
            self.begin_turn(run)
            if run in self._left:
                self._left.discard(run)
                self._left.add(heir)

    def remove(self, run: Run) -> None:
        """Does nothing if another run of the same job has taken its place."""
        if self._has(run):
            del self._by_job[run.claim.job_id]
            self.begin_turn(run)
            self._left.discard(run)
            self._shards.discard(run)
            self._lasts.pop(run.claim.job_id, None)

    def begin_turn(self, run: Run) -> None:
        """The run waits no more for the job before it in its chat."""
        if run in self._waiting:
            self._waiting.discard(run)
            self._waiting_of_chat[run.claim.chat_id] -= 1
            if not self._waiting_of_chat[run.claim.chat_id]:
                del self._waiting_of_chat[run.claim.chat_id]

    def leave_to_stragglers(self, run: Run) -> None:
        """All but a few slow devices have answered the run."""
        if self._has(run):
            self._left.add(run)

    def make_room(self, most: int) -> bool:
        """Whether fewer than `most` have work to do, and do not only wait."""
        if self.started >= most:
            self._leave_silent()
        return self.started < most

    def _leave_silent(self) -> None:
        """Leave those that have had no answer since the last call, a moment ago.

        A provider, or a server that a member has named, keeps them waiting; the jobs of
        others need their room.
        """
        now = time.monotonic()
        if now < self._counted_at + rhythm.ROOM_INTERVAL_S:
            return
        before, self._answers, self._counted_at = self._answers, {}, now
        for job_id, run in self._by_job.items():
            pushes = run.pushes
            if not pushes.under_way or run in self._left:
                continue
            if before.get(job_id) == pushes.answers:
                self._left.add(run)
            else:
                self._answers[job_id] = pushes.answers

    def by_sender(self) -> Counter[int]:
        """How many jobs with work to do each user has caused. Any thread may ask."""
        claims = [
            run.claim
            for run in list(self._by_job.values())
            if run not in self._waiting and run not in self._left
        ]
        return Counter(claim.only_user or claim.sender_id for claim in claims)

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
        many = {
            chat_id
            for chat_id, number in self._waiting_of_chat.items()
            if number >= MAX_WAITING_OF_CHAT
        }
        if not many:
            return list(self._lasts)
        return [job for job, chat_id in self._lasts.items() if chat_id not in many]

    def _has(self, run: Run) -> bool:
        return self._by_job.get(run.claim.job_id) is run
