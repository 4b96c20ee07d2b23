"""Working on one claimed job: first its fan-out, then the devices to be tried again."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from datastore.outbox import Claim, due_work, fanout, retries, shards
from models.base import utc_now
from models.pushes import Notification, Target
from notifier.channels import Channel
from notifier.engine.async_store import AsyncStore
from notifier.engine.chat_order import Turn
from notifier.engine.recorder import Recorder
from notifier.engine.tally import Tally, TargetBatch
from notifier.outcome import ChannelDown, Kind, Outcome

log = logging.getLogger(__name__)

BATCH_SIZE = 1000
# Batches of one job on their way at once: the next is read and rendered while the
# answers to the last ones travel. More would only be pushed again after a crash.
BATCHES_IN_FLIGHT = 3
# Those that are mostly answered do not count: a few devices that do not answer must
# not hold up all who come after them. But there is an end to that, too.
BATCHES_OPEN = 16
# A job for more devices than this is split, so that other engines can help.
SHARD_SIZE = 100_000
# When nobody has answered for so long, the chat's next message waits no more.
SILENCE_S = 3.0
# A message of which nobody was told so long after its end is news no more. Not sooner:
# one that is to be delivered now or never has its end at its beginning.
LATE = timedelta(seconds=10)
FRESH_S = 0.05  # What was read together with the claim is used so long.
# A channel that is not set up is looked at again by another process, if by any.
UNCONFIGURED_RETRY_S = 3600.0


@dataclass(eq=False, kw_only=True)
class JobRun:
    """One job in the hands of one engine."""

    claim: Claim
    # What the devices are told of it.
    notification: Notification
    channels: Mapping[str, Channel]
    store: AsyncStore
    recorder: Recorder
    # The engine's name in the lease.
    owner: str
    # Set when the engine wants to end: nothing new is begun.
    stopping: asyncio.Event
    # Set when the engine should look at the outbox again.
    wake: asyncio.Event
    # Read together with the claim; None when they are to be read from here.
    first_targets: Sequence[Target] | None = None
    # Part of a large job, on which other engines work too.
    is_shard: bool = False
    turn: Turn = field(default_factory=Turn)
    _rendered: dict[str, Any] = field(default_factory=dict)
    # Batches that have been begun and not ended, each with its task.
    _under_way: dict[asyncio.Task[None], TargetBatch] = field(default_factory=dict)
    # Set when another batch may have room.
    _room: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.tally = Tally(self.claim)
        self._taken_at = time.monotonic()

    async def run(self) -> None:
        """Return when the job has ended or was given back, and that is recorded."""
        self.recorder.watch(self.tally)
        try:
            self.tally.waiting = await self._count_waiting()
            if await self.turn.wait():
                self._forget_what_is_old()
                await self._fan_out()
                await self._try_again()
            else:
                self.tally.release(utc_now())
                await self.recorder.settle()
        finally:
            self.turn.end()
            self.recorder.forget(self.tally)

    def _forget_what_is_old(self) -> None:
        """Members and messages may have changed before our turn came."""
        if time.monotonic() > self._taken_at + FRESH_S:
            self.first_targets = None

    async def _count_waiting(self) -> int:
        if self.claim.attempts == 1:
            return 0
        count, _ = await self.store.read(retries.waiting, self.claim.job_id)
        return count

    # -- the first try of every device

    async def _fan_out(self) -> None:
        after = self.tally.cursor
        try:
            while not self.tally.fanned_out and not self.stopping.is_set():
                if utc_now() >= self.claim.notification.expires_at + LATE:
                    self.tally.expire(await self._rest(after))
                    break
                targets = await self._next_targets(after)
                if targets:
                    after = targets[-1][:2]
                    self._begin(targets)
                await self._count_rest(after)
                await self._leave_room()
            await self._hear()
            # The other parts of a split job are with other engines: the outbox knows
            # when they end.
            if self.tally.fanned_out and not self.is_shard:
                self.turn.let_pass()
        finally:
            for task in self._under_way:
                task.cancel()
        await self.recorder.settle()

    def _begin(self, targets: Sequence[Target]) -> None:
        batch = self.tally.open_batch(targets)
        task = asyncio.create_task(self._push(batch))
        self._under_way[task] = batch
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._room.set()

    async def _leave_room(self) -> None:
        """Wait until another batch may begin."""
        while not self._has_room():
            self._room.clear()
            await self._room.wait()

    def _has_room(self) -> bool:
        batches = self._under_way.values()
        in_the_way = sum(not batch.is_mostly_known for batch in batches)
        return in_the_way < BATCHES_IN_FLIGHT and len(batches) < BATCHES_OPEN

    async def _hear(self) -> None:
        """Wait for the last answers; a silent device must not silence its chat."""
        while self._under_way:
            known = self.tally.answered
            await asyncio.wait(self._under_way, timeout=SILENCE_S)
            if self._under_way and self.tally.answered == known:
                self.tally.give_way()
                self.turn.let_pass()
                await self.recorder.settle()
                self.wake.set()
                break
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _next_targets(self, after: tuple[int, int]) -> Sequence[Target]:
        """The next batch; tells the tally when nothing comes after it."""
        if self.claim.is_withdrawn:
            self.tally.withdraw()
            return ()
        targets, self.first_targets = self.first_targets, None
        size = due_work.FIRST_TARGETS
        if targets is None:
            size = BATCH_SIZE
            targets = await self.store.read(
                fanout.next_targets,
                self.claim,
                after=after,
                limit=size,
                now=utc_now(),
            )
        if targets is None:
            self.tally.withdraw()
            return ()
        if len(targets) < size:
            self.tally.close_fan_out()
        return targets

    async def _count_rest(self, after: tuple[int, int]) -> None:
        """Count once, after the first batch has left; a single batch counts itself."""
        if self.tally.total is not None or self.tally.fanned_out:
            return
        rest = await self._rest(after)
        if rest > SHARD_SIZE and self.claim.until_user is None:
            shortened = await self.store.write(
                shards.split,
                self.owner,
                self.claim,
                after=after,
                size=SHARD_SIZE,
                now=utc_now(),
            )
            self.claim = shortened or self.claim
            self.is_shard = True
            rest = await self._rest(after)
        self.tally.set_rest(rest)

    async def _rest(self, after: tuple[int, int]) -> int:
        return await self.store.read(
            fanout.count_targets, self.claim, after=after, now=utc_now()
        )

    # -- the later tries

    async def _try_again(self) -> None:
        """Push what is due again; then end, or give the job back until more is due."""
        while self.tally.end is None and not self.stopping.is_set():
            now = utc_now()
            if now >= self.claim.notification.expires_at:
                self.tally.drop_all()
                break
            due = await self.store.read(
                retries.due_retries, self.claim, limit=BATCH_SIZE, now=now
            )
            if due is None:
                self.tally.withdraw()
                break
            targets, pointless = due
            if not targets and not pointless:
                break
            self.tally.drop(pointless)
            await self._push(self.tally.open_batch(targets, again=True))
            await self.recorder.settle()
        await self._let_go()

    async def _let_go(self) -> None:
        """Record the end, or until when nothing is to be done for this job."""
        if self.tally.end is not None:
            return
        if self.tally.waiting or not self.tally.fanned_out:
            self.tally.release(await self._next_due_at())
        else:
            # All that it counted has come to an end, so it has, too.
            self.tally.close_fan_out()
        await self.recorder.settle()

    async def _next_due_at(self) -> datetime:
        now = utc_now()
        if not self.tally.fanned_out:
            return now
        _, next_at = await self.store.read(retries.waiting, self.claim.job_id)
        return min(next_at or now, self.claim.notification.expires_at)

    # -- one batch

    async def _push(self, batch: TargetBatch) -> None:
        """Hand the batch to the channels; afterwards every device has an outcome."""
        by_platform: dict[str, list[Target]] = defaultdict(list)
        for target in batch.targets:
            by_platform[target.platform].append(target)
        sends = [self._send(*those, batch) for those in by_platform.items()]
        # Tasks of their own are only for several.
        await (sends[0] if len(sends) == 1 else asyncio.gather(*sends))

    async def _send(
        self, platform: str, targets: list[Target], batch: TargetBatch
    ) -> None:
        outcome = await self._send_to(platform, targets, batch)
        for target in batch.missing(targets):
            self._report(batch, target, outcome)

    async def _send_to(
        self, platform: str, targets: list[Target], batch: TargetBatch
    ) -> Outcome:
        """Push; returns the outcome of those devices that got none of their own."""
        channel = self.channels.get(platform)
        if channel is None:
            words = "this channel is not configured"
            return Outcome(Kind.CREDENTIALS, words, UNCONFIGURED_RETRY_S)
        try:
            rendered = self._render(platform, channel)
        except ValueError as problem:
            return Outcome(Kind.REFUSED, str(problem))
        try:
            await channel.send(rendered, targets, partial(self._report, batch))
        except ChannelDown as down:
            # The channel's breaker knows how long it is worth waiting.
            return Outcome(Kind.LATER, down.reason, down.retry_after_s, tried=False)
        except Exception:
            log.exception("job %d: channel %s failed", self.claim.job_id, platform)
        return Outcome(Kind.LATER, "the channel gave no answer")

    def _render(self, platform: str, channel: Channel) -> Any:
        if platform not in self._rendered:
            self._rendered[platform] = channel.render(self.notification)
        return self._rendered[platform]

    def _report(self, batch: TargetBatch, target: Target, outcome: Outcome) -> None:
        batch.outcomes[target.device_id] = outcome
        if len(batch.outcomes) == batch.most:
            self._room.set()
        self.recorder.count_outcome()
