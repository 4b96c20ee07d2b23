"""Small jobs, as most are: one task, and one step when every device has accepted.

A small job hands over to a `JobRun`, which copes with everything, as soon as anything
else happens: a device that does not accept or is slow, a straggler of an earlier
message, more devices than were read at once, a deleted or expired message, the engine's
stop. A push that is under way goes on, and its outcomes go to the JobRun.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datastore.outbox import Claim, due_work, outcome_counts
from datastore.outbox.progress import Step
from models.base import utc_now
from models.pushes import COMPLETED, Target
from notifier.engine import first_targets, job_run
from notifier.engine.chat_order import Turn
from notifier.engine.first_targets import FirstTargets
from notifier.engine.job_run import Begun, JobRun
from notifier.engine.pushes import Pushes
from notifier.engine.recorder import Recorder
from notifier.engine.stragglers import Stragglers
from notifier.engine.tally import TargetBatch
from notifier.outcome import Outcome


def may_be_small(claim: Claim) -> bool:
    """Whether the job is new, whole and not deleted. Its devices are yet to be seen."""
    is_whole = claim.parent_id is None and claim.until_user is None
    return claim.is_new and is_whole and not claim.is_deleted


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all small jobs of an engine share."""

    reader: FirstTargets
    recorder: Recorder
    stragglers: Stragglers
    stopping: asyncio.Event
    # Begins the task of a job.
    start: Callable[["SmallJob"], None]
    # Called when a job's turn has come, and when nothing is left to be done.
    on_turn: Callable[["SmallJob"], None]
    on_end: Callable[["SmallJob"], None]
    # Begins a JobRun in place of the job.
    hand_over: Callable[["SmallJob", Begun | None], JobRun]


class SmallJob:
    """The work of one engine on one small job."""

    __slots__ = (
        "_around",
        "_heir",
        "_is_cancelled",
        "_loaded_at",
        "attempts",
        "claim",
        "is_released",
        "job_id",
        "pushes",
        "targets",
        "task",
        "turn",
    )
    is_shard = False

    def __init__(
        self,
        claim: Claim,
        targets: Sequence[Target] | None,
        turn: Turn,
        pushes: Pushes,
        around: Surroundings,
    ) -> None:
        self.claim = claim
        self.job_id = claim.job_id
        self.attempts = claim.attempts
        self.turn = turn
        self.pushes = pushes
        # Read together with the claim, or when the turn had come.
        self.targets = targets
        # Whether the job has ended; its last step may still have to be recorded.
        self.is_released = False
        self._around = around
        self._loaded_at = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self._is_cancelled = False
        # Goes on with the job.
        self._heir: JobRun | None = None

    def begin(self) -> None:
        """Start when the job's turn comes."""
        self._around.recorder.add(self)
        self.turn.when_it_comes(self._on_turn)

    def cancel(self) -> None:
        """Stop working on the job; record nothing more."""
        if self.task is not None:
            self.task.cancel()
        elif not self._is_cancelled:
            self._is_cancelled = True
            self._finish()

    def _on_turn(self, may_start: bool) -> None:
        if self._is_cancelled:
            return
        self._around.on_turn(self)
        if time.monotonic() > self._loaded_at + first_targets.MAX_AGE_S:
            # Members and messages may have changed while the job waited.
            self.targets = None
        is_expired = utc_now() >= self.claim.notification.expires_at
        may_start &= self._around.recorder.has_leases
        if may_start and not is_expired and not self._around.stopping.is_set():
            self._around.start(self)
        else:
            self._hand_over()

    async def run(self) -> bool:
        """Push; False if the job ends later: when it is recorded, or by its heir."""
        try:
            targets = await self._small_audience()
            if targets is None or not self._around.recorder.has_leases:
                self._hand_over()
                return False
            batch = TargetBatch(targets, is_retry=False)
            await self._push(batch)
        except BaseException:
            self.turn.leave()
            self._around.recorder.remove(self)
            raise
        if batch.accepted < len(targets) or self.turn.has_front:
            self._hand_over(batch)
        elif self._heir is None:
            self._end(targets)
        return False

    async def _small_audience(self) -> Sequence[Target] | None:
        """All devices of the job; None if it is not a small one."""
        chat_id, is_all = self.claim.chat_id, True
        if self.targets is None:
            found = await self._around.reader.read(self.claim)
            if found is None:
                return None
            self.targets, is_all = found
        if self._around.stragglers.has_some(chat_id) or not is_all:
            return None
        if len(self.targets) >= due_work.FIRST_TARGETS:
            return None
        return self.pushes.addressed(self.targets)

    async def _push(self, batch: TargetBatch) -> None:
        if not batch.targets:
            return
        loop = asyncio.get_running_loop()
        patience = loop.call_later(job_run.PATIENCE_S, self._hand_over, batch)
        try:
            await self.pushes.push(batch, batch.targets, self._report)
        finally:
            patience.cancel()

    def _report(
        self, batch: TargetBatch, targets: Sequence[Target], outcome: Outcome
    ) -> None:
        if self._heir is not None:
            self._heir.report(batch, targets, outcome)
        else:
            batch.add([target.device_id for target in targets], outcome)

    def _hand_over(self, batch: TargetBatch | None = None) -> None:
        if self._heir is None:
            begun = None if batch is None or self.task is None else (batch, self.task)
            self._around.recorder.remove(self)
            self._heir = self._around.hand_over(self, begun)

    def _end(self, targets: Sequence[Target]) -> None:
        """Every device has accepted, and the outbox lets the job before pass."""
        self.is_released = True
        self.turn.let_pass()
        self.turn.let_next_start()
        cursor = targets[-1][:2] if targets else self.claim.cursor
        accepted = outcome_counts.text_of_accepted([each.platform for each in targets])
        step = Step(
            job_id=self.job_id,
            attempts=self.attempts,
            cursor=cursor,
            fanned_out=True,
            total=len(targets),
            accepted=len(targets),
            failed=0,
            error=None,
            outcomes=accepted,
            end=COMPLETED,
        )
        self._around.recorder.record_end(step, self._finish)

    def _finish(self) -> None:
        self.turn.leave()
        self._around.recorder.remove(self)
        self._around.on_end(self)
