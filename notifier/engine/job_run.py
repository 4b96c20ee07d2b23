"""Works on one claimed job: first the fan-out, then the retries that are due."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from datastore.outbox import Claim, due_work, fanout, retries, shards
from models.base import utc_now
from models.pushes import AT_ONCE, Target
from notifier.engine import first_targets, stragglers
from notifier.engine.async_store import AsyncStore
from notifier.engine.chat_order import Turn
from notifier.engine.first_targets import FirstTargets
from notifier.engine.pushes import Pushes
from notifier.engine.recorder import Recorder
from notifier.engine.stragglers import AwaitedPushes, Stragglers, UnansweredPush
from notifier.engine.tally import Tally, TargetBatch
from notifier.outcome import Outcome

log = logging.getLogger(__name__)

BATCH_SIZE = 1000
# Batches of a job in flight at once, so that the next one is read and rendered while
# the answers travel. With more of them a crash would repeat more pushes.
BATCHES_IN_FLIGHT = 3
# Batches that are mostly answered do not count as in flight, so that a few silent
# devices do not delay the rest; all open batches together are limited, too.
BATCHES_OPEN = 16
# A job for more devices than this is split, so that other engines can help.
SHARD_SIZE = 100_000
# Devices that have not answered by this time, when most of the others have, are left
# behind as stragglers.
PATIENCE_S = 0.1
# A fan-out ends this long after the message has expired. Not at once, because a
# message with a time to live of 0 has expired when it is posted.
EXPIRY_GRACE = timedelta(seconds=10)


# A push to all devices of a job that is under way, and its task.
Begun = tuple[TargetBatch, asyncio.Task[None]]


@dataclass(eq=False, kw_only=True)
class JobRun:
    """The work of one engine on one job."""

    claim: Claim
    pushes: Pushes
    store: AsyncStore
    recorder: Recorder
    # Reads the first devices when the job's turn comes.
    reader: FirstTargets
    # The engine's name in the lease.
    owner: str
    # Set when the engine is to stop: nothing new is begun.
    stopping: asyncio.Event
    # Set when the engine should look at the outbox again.
    wake: asyncio.Event
    # Devices that have not answered earlier messages.
    stragglers: Stragglers
    # Called when the wait for its turn in the chat ends, when it becomes a shard, and
    # when the next message begins before this one has ended.
    on_turn: Callable[["JobRun"], None]
    on_split: Callable[["JobRun"], None]
    on_early_start: Callable[["JobRun"], None]
    # Read together with the claim; None if the run has to read them.
    first_targets: Sequence[Target] | None = None
    # Part of a large job, whose other parts may be with other engines.
    is_shard: bool = False
    turn: Turn = field(default_factory=Turn)
    # Goes on with this push.
    begun: Begun | None = None
    # The task that runs it.
    task: asyncio.Task[None] | None = None
    # Each open batch with the task that pushes it.
    _open_batches: dict[asyncio.Task[None], TargetBatch] = field(default_factory=dict)
    # Tasks of pushes that wait for the device's answer to an earlier message.
    _held_back: dict[asyncio.Task[None], Target] = field(default_factory=dict)
    # What a push has raised.
    _failure: BaseException | None = None
    # Set when another batch may have room.
    _room: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.tally = Tally(self.claim)
        self._awaited = AwaitedPushes(
            self.stragglers, self.claim.chat_id, self.pushes.await_token
        )
        self._loaded_at = time.monotonic()

    @property
    def is_released(self) -> bool:
        """Whether the job has ended or is given back."""
        return self.tally.is_released

    def cancel(self) -> None:
        """Stop working on the job; record nothing more."""
        if self.task is not None:
            self.task.cancel()

    async def run(self) -> bool:
        """Return True when it is recorded that the job has ended or was given back."""
        self.recorder.add(self.tally)
        try:
            self.tally.waiting = await self._count_waiting()
            self.tally.has_front = self.turn.has_front
            may_start = await self.turn.wait()
            self.on_turn(self)
            if may_start:
                self._drop_stale_targets()
                await self._fan_out()
                await self._retry()
                self.tally.log_missing()
            else:
                self.tally.release()
                await self.recorder.recorded(self.tally)
        finally:
            self.turn.leave()
            self._awaited.end_all()
            self.recorder.remove(self.tally)
        return True

    def _drop_stale_targets(self) -> None:
        """Members and messages may have changed while the job waited for its turn."""
        if time.monotonic() > self._loaded_at + first_targets.MAX_AGE_S:
            self.first_targets = None

    async def _count_waiting(self) -> int:
        if self.claim.is_new:
            return 0
        count, _ = await self.store.read(retries.count_waiting, self.claim.job_id)
        return count

    # -- the first try of every device

    async def _fan_out(self) -> None:
        after = self.tally.cursor
        try:
            if self.begun is not None:
                self._take_over(*self.begun)
            while not self.tally.fanned_out and not self.stopping.is_set():
                if utc_now() >= self.claim.notification.expires_at + EXPIRY_GRACE:
                    # What is never pushed is unread all the same.
                    await self.store.call(fanout.reopen_rest, self.claim, after=after)
                    self.tally.expire(await self._count_remaining(after))
                    break
                targets = await self._next_targets(after)
                await self.recorder.wait_for_lease()
                if targets:
                    after = targets[-1][:2]
                if addressed := self.pushes.addressed(targets):
                    self._begin_batch(addressed)
                await self._count_total(after)
                await self._wait_for_room()
            await self._wait_for_answers()
            await self._let_pass()
            # Other engines may have the other shards, whose ends only the outbox knows.
            if self.tally.fanned_out and not self.is_shard:
                self.turn.let_next_start()
        finally:
            for task in (*self._open_batches, *self._held_back):
                task.cancel()
        await self.recorder.recorded(self.tally)

    def _take_over(self, batch: TargetBatch, push: asyncio.Task[None]) -> None:
        """Go on with a push to all devices."""
        self.tally.add_batch(batch)
        self.tally.close_fan_out()
        self.recorder.count_outcomes(self.tally, len(batch.outcomes))
        if batch.unanswered(batch.targets):
            self._open_batches[push] = batch
            push.add_done_callback(self._end_push)

    def _begin_batch(self, targets: Sequence[Target]) -> None:
        batch = self.tally.open_batch(targets)
        ready = targets
        if self.stragglers.has_some(self.claim.chat_id):
            ready = [each for each in targets if not self._hold_back(batch, each)]
        task = asyncio.create_task(self.pushes.push(batch, ready, self.report))
        self._open_batches[task] = batch
        task.add_done_callback(self._end_push)

    def _hold_back(self, batch: TargetBatch, target: Target) -> bool:
        """Push later to a device that has not answered an earlier message."""
        held_back = self._awaited.hold_back(target)
        if held_back is None:
            return False
        task = asyncio.create_task(self._push_behind(*held_back, batch, target))
        self._held_back[task] = target
        task.add_done_callback(self._end_push)
        return True

    async def _push_behind(
        self,
        before: UnansweredPush,
        push: UnansweredPush,
        batch: TargetBatch,
        target: Target,
    ) -> None:
        await before.wait()
        await self.recorder.wait_for_lease()
        push.sent_behind(before)
        await self.pushes.push(batch, [target], self.report)

    def _end_push(self, task: asyncio.Task[None]) -> None:
        self._open_batches.pop(task, None)
        self._held_back.pop(task, None)
        self._room.set()
        if not task.cancelled():
            self._failure = self._failure or task.exception()

    async def _wait_for_room(self) -> None:
        """Wait until another batch may begin."""
        while not self._has_room():
            self._room.clear()
            await self._room.wait()
        self._check_pushes()

    def _check_pushes(self) -> None:
        """Raise what a push raised, so that the job is postponed."""
        if self._failure is not None:
            raise self._failure

    def _has_room(self) -> bool:
        batches = self._open_batches.values()
        in_flight = sum(not batch.is_mostly_answered for batch in batches)
        return in_flight < BATCHES_IN_FLIGHT and len(batches) < BATCHES_OPEN

    async def _wait_for_answers(self) -> None:
        """Wait for the last answers; slow devices do not block the chat for long."""
        if self._open_batches and self.begun is None:
            await asyncio.wait(self._open_batches, timeout=PATIENCE_S)
        self._start_next_early()
        while rest := {*self._open_batches, *self._held_back}:
            answered = self.tally.answered
            had_token = self._have_token
            await asyncio.wait(rest, timeout=stragglers.SILENCE_S)
            is_silent = had_token and self._have_token
            if self._has_open_pushes and self.tally.answered == answered and is_silent:
                await self._let_pass()
                self.tally.unblock_chat()
                self.turn.let_next_start()
                await self.recorder.recorded(self.tally)
                self.wake.set()
                break
            self._start_next_early()
        if rest := {*self._open_batches, *self._held_back}:
            await asyncio.wait(rest)
        self._check_pushes()

    async def _let_pass(self) -> None:
        """From now on the outbox lets the next message pass, if it may pass itself."""
        await self.turn.wait_for_front()
        self.tally.pass_front()
        self.turn.let_pass()

    @property
    def _has_open_pushes(self) -> bool:
        return bool(self._open_batches or self._held_back)

    @property
    def _have_token(self) -> bool:
        """Whether the unanswered pushes are with the devices' providers."""
        unanswered = *self._unanswered(), *self._held_back.values()
        return not self.pushes.await_token(unanswered)

    def _unanswered(self) -> list[Target]:
        open_ones = self._open_batches.values()
        return [each for batch in open_ones for each in batch.unanswered(batch.targets)]

    def _start_next_early(self) -> None:
        """Let the next message start when only stragglers have not answered.

        It reaches each of them after its answer. An engine that takes over after a
        crash knows nothing of them, so in the outbox the next message waits on.
        """
        if self.is_shard or not self.tally.fanned_out or not self._has_open_pushes:
            return
        missing = [each for each in self._unanswered() if each not in self._awaited]
        if len(missing) > self.tally.answered:
            return
        self._awaited.add_sent(missing)
        self.turn.let_next_start()
        self.on_early_start(self)

    async def _next_targets(self, after: tuple[int, int]) -> Sequence[Target]:
        """The next batch; closes the tally's fan-out if it is the last one."""
        if self.claim.is_deleted:
            self.tally.cancel()
            return ()
        targets, self.first_targets = self.first_targets, None
        if targets is not None:
            is_last = len(targets) < due_work.FIRST_TARGETS
        elif after == self.claim.cursor:
            first = await self.reader.read(self.claim)
            targets, is_last = (None, True) if first is None else first
        else:
            targets = await self.store.call(
                fanout.next_targets,
                self.claim,
                after=after,
                limit=BATCH_SIZE,
                now=utc_now(),
            )
            is_last = targets is not None and len(targets) < BATCH_SIZE
        if targets is None:
            self.tally.cancel()
            return ()
        if is_last:
            self.tally.close_fan_out()
        return targets

    async def _count_total(self, after: tuple[int, int]) -> None:
        """Count the devices once, behind the first batch, and split a large job.

        A job of a single batch needs no count.
        """
        if self.tally.total is not None or self.tally.fanned_out:
            return
        now = utc_now()
        parts = await self.store.read(
            shards.plan, self.claim, after=after, size=SHARD_SIZE, now=now
        )
        remaining = sum(part.devices for part in parts)
        if remaining > SHARD_SIZE and len(parts) > 1:
            shortened = await self.store.write(
                shards.split, self.owner, self.claim, parts, now=now
            )
            if shortened is None:
                # Another engine has it now; what we record would be refused.
                self.cancel()
                return
            self.claim, remaining = shortened, parts[0].devices
            self.is_shard = True
            self.on_split(self)
        self.tally.set_remaining(remaining)
        self.recorder.note(self.tally)

    async def _count_remaining(self, after: tuple[int, int]) -> int:
        return await self.store.read(
            fanout.count_targets, self.claim, after=after, now=utc_now()
        )

    # -- retries

    async def _retry(self) -> None:
        """Push to the devices whose retry is due; then end the job or give it back."""
        while self.tally.end is None and not self.stopping.is_set():
            now = utc_now()
            if now >= self.claim.notification.expires_at:
                self.tally.drop_all()
                break
            due = await self.store.read(
                retries.find_due, self.claim, limit=BATCH_SIZE, now=now
            )
            if due is None:
                self.tally.cancel()
                break
            targets, pointless = due
            if not targets and not pointless:
                break
            self.tally.drop(pointless)
            await self.recorder.wait_for_lease()
            batch = self.tally.open_batch(targets, is_retry=True)
            await self.pushes.push(batch, targets, self.report)
            await self.recorder.recorded(self.tally)
        await self._end_or_release()

    async def _end_or_release(self) -> None:
        """Record that the job has ended, or when it is due again."""
        if self.tally.end is not None:
            return
        if self.tally.waiting or not self.tally.fanned_out:
            self.tally.release(await self._next_due_at())
        else:
            # No device waits any more: the next step ends the job.
            self.tally.close_fan_out()
        await self.recorder.recorded(self.tally)

    async def _next_due_at(self) -> datetime:
        if not self.tally.fanned_out:
            return AT_ONCE
        _, next_at = await self.store.read(retries.count_waiting, self.claim.job_id)
        return min(next_at or AT_ONCE, self.claim.notification.expires_at)

    def report(
        self, batch: TargetBatch, targets: Sequence[Target], outcome: Outcome
    ) -> None:
        """The outcome of these pushes is known."""
        device_ids = [target.device_id for target in targets]
        batch.add(device_ids, outcome)
        if batch.is_mostly_answered:
            self._room.set()
        self._awaited.end(device_ids)
        self.recorder.count_outcomes(self.tally, len(device_ids))
