"""The engine's loop: claim, fan out, send, record; every push goes through it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from bottlepost.logs import context
from config import PREVIEW_FULL, Settings
from datastore import Datastore
from datastore.outbox import Claim, due_work, leases
from datastore.outbox.fairness import Room
from models.base import utc_now
from models.pushes import Target
from notifier.channels import Channel, ProviderTokens, Troubles, registry
from notifier.engine import ANY_JOB, IsRetired, never_retired, redact, rhythm, small_job
from notifier.engine.async_store import AsyncStore
from notifier.engine.chat_order import Turn
from notifier.engine.claimer import Claimer
from notifier.engine.first_targets import FirstTargets
from notifier.engine.importer import Importer
from notifier.engine.job_run import Begun, JobRun
from notifier.engine.provider_tokens import SharedTokens
from notifier.engine.provider_troubles import SharedTroubles
from notifier.engine.pushes import Pushes
from notifier.engine.recorder import Recorder
from notifier.engine.running_jobs import RunningJobs
from notifier.engine.small_job import SmallJob, Surroundings
from notifier.engine.stragglers import Stragglers
from notifier.retry_delays import retry_delay_s

log = logging.getLogger(__name__)

# Jobs worked on at once: about 2,000 small chats a second at a round trip of 80 ms.
MAX_JOBS = 256
# Jobs that wait in this engine for their turn in their chat, because starting them
# here is faster than a claim for each.
MAX_WAITING = 512
# Shards of large jobs worked on at once; other engines take the other shards.
MAX_SHARDS = 1
# A look that waits longer than this for the database is cut short, so that the engine
# can still exit. The next look follows after a pause.
LOOK_TIMEOUT_S = 5.0
LOOK_RETRY_S = 1.0
# After `stop`, pushes in flight have this long to be answered.
STOP_TIMEOUT_S = 10.0
# Then they are cancelled, which takes a moment.
CANCEL_TIMEOUT_S = 1.0

OpenChannels = Callable[[ProviderTokens, Troubles], Mapping[str, Channel]]


def build(
    settings: Settings,
    *,
    owner: str,
    is_retired: IsRetired = never_retired,
    kind: "type[Engine] | None" = None,
) -> "Engine":
    """An engine on the database and with the channels of the settings."""
    return (kind or Engine)(
        # A record lost in a power cut only causes a repeated push, which is harmless.
        Datastore.of(settings, durable=False),
        partial(registry.create_all, settings),
        owner=owner,
        lease_s=settings.lease_s,
        push_preview=settings.push_preview,
        is_retired=is_retired,
    )


class Engine:
    """Works through the outbox on one event loop; one per process.

    `owner` is its name in the leases, which no other engine ever has.
    """

    def __init__(
        self,
        store: Datastore,
        open_channels: OpenChannels,
        *,
        owner: str,
        lease_s: float,
        push_preview: str = PREVIEW_FULL,
        is_retired: IsRetired = never_retired,
    ) -> None:
        self._store = AsyncStore(store, stuck_after_s=lease_s)
        self._open_channels = open_channels
        self._owner = owner
        self._lease = timedelta(seconds=lease_s)
        self._preview = push_preview
        self._running = RunningJobs()
        self._claimer = Claimer(
            self._store,
            owner=owner,
            lease=self._lease,
            is_running=self._running.has,
            room=Room(self._running.by_sender, reserve=MAX_JOBS // 4),
            is_retired=is_retired,
        )
        self._reader = FirstTargets(self._store)
        self._stragglers = Stragglers()
        # How many jobs the last look brought.
        self._last_bite = 0
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._importer: Importer
        self._recorder: Recorder
        self._around_small_jobs: Surroundings
        self._channels: Mapping[str, Channel]

    @property
    def has_room(self) -> bool:
        """Whether another job would be begun at once."""
        return self._running.started < MAX_JOBS

    @property
    def _is_busy(self) -> bool:
        return bool(self._running) or self._importer.is_busy

    async def run(self, *, linger_s: float | None, wake: asyncio.Event) -> None:
        """Work until nothing has been due for `linger_s`; None means until `stop`.

        Setting `wake` makes the engine look at the outbox at once.
        """
        self._wake = wake
        self._channels = self._open_channels(
            SharedTokens(self._store), SharedTroubles(self._store)
        )
        self._importer = Importer(
            self._store.datastore,
            owner=self._owner,
            lease=self._lease,
            on_idle=wake.set,
        )
        self._recorder = Recorder(
            self._store,
            owner=self._owner,
            lease=self._lease,
            on_lost=self._cancel_lost,
            on_refused=self._cancel_refused,
            on_due=self._claimer.lower,
        )
        self._around_small_jobs = Surroundings(
            reader=self._reader,
            recorder=self._recorder,
            stragglers=self._stragglers,
            stopping=self._stopping,
            start=self._start,
            on_turn=self._running.begin_turn,
            on_end=self._forget,
            hand_over=self._hand_over,
        )
        try:
            async with asyncio.TaskGroup() as group:
                services = [
                    group.create_task(self._recorder.run()),
                    group.create_task(self._recorder.keep_leases()),
                    group.create_task(self._store.watch()),
                ]
                await self._work(linger_s)
                for service in services:
                    service.cancel()
        finally:
            await self._close()

    def expect(self, job_id: int) -> None:
        """The wake-up that follows is for this job; ANY_JOB means any job."""
        self._claimer.expect(job_id)

    def stop(self) -> None:
        """Begin nothing new, finish what is in flight, give the leases back."""
        self._stopping.set()
        self._wake.set()

    async def _work(self, linger_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        idle_since = loop.time()
        while not self._stopping.is_set():
            # Nothing may be awaited between the test of `wake` below and this line.
            self._wake.clear()
            claimed_at = loop.time()
            self._last_bite = 0
            has_room = self._running.make_room(MAX_JOBS)
            due_at = await self._look() if has_room else rhythm.room_at()
            if self._is_busy:
                idle_since = loop.time()
            left_s = None
            if linger_s is not None and not self._is_busy:
                left_s = idle_since + linger_s - loop.time()
                # A job that ended during the look may have left something to claim.
                if left_s <= 0 and not self._wake.is_set():
                    if self._claimer.is_sure:
                        break
                    self._claimer.lower(ANY_JOB)
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(rhythm.wait_s(left_s, due_at)):
                    await self._wake.wait()
            await asyncio.sleep(claimed_at + self._claim_interval_s() - loop.time())
        await self._finish()

    def _claim_interval_s(self) -> float:
        if not self._running:
            return 0.0
        return rhythm.claim_interval_s(self._last_bite)

    async def _look(self) -> datetime | None:
        """Begin what is due; returns when to look again, if that is known."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                return await self._claim()
        except TimeoutError:
            return utc_now() + timedelta(seconds=LOOK_RETRY_S)

    async def _claim(self) -> datetime | None:
        """Begin what is due; returns when something will be due next, if known."""
        if not self._is_busy and (new := await self._claimer.take_new()):
            self._begin_all(new)
            return None
        due, jobs, _ = await self._claimer.take(
            limit=MAX_JOBS - self._running.started,
            chain=max(MAX_WAITING - self._running.waiting, 0),
            behind=self._running.lasts,
            shards=max(MAX_SHARDS - self._running.shards, 0),
            with_imports=not self._importer.is_busy,
        )
        if due.import_at is not None and due.import_at <= utc_now():
            self._importer.begin()
        self._begin_all(jobs)
        # It may be past: due since the look began, or just now locked by another engine
        # for its own claim.
        return due.next_at

    def _begin_all(self, jobs: Sequence[due_work.Job]) -> None:
        self._last_bite = len(jobs)
        for job in jobs:
            # After an outage our own lease of a running job may have expired.
            if not self._running.is_held(job.claim):
                self._drop_earlier(job.claim.job_id)
                self._begin(job)
        if jobs:
            # Jobs that were left may be claimable, too.
            self._wake.set()

    def _drop_earlier(self, job_id: int) -> None:
        """Another engine has had the job since this one began it."""
        for run in self._running.find([job_id]):
            if not run.is_released:
                run.cancel()

    def _begin(self, job: due_work.Job) -> None:
        claim = job.claim
        context.requests[claim.job_id] = claim.request_id
        pushes = self._pushes(claim)
        turn = self._running.turn_after(job.follows)
        if turn.is_awaited:
            self._reader.expect(claim)
        if small_job.may_be_small(claim):
            small = SmallJob(claim, job.targets, turn, pushes, self._around_small_jobs)
            self._running.add(small)
            small.begin()
        else:
            run = self._new_run(claim, job.targets, turn, pushes)
            self._running.add(run)
            self._start(run)

    def _pushes(self, claim: Claim) -> Pushes:
        shown = redact.redact(claim.notification, self._preview)
        return Pushes(shown, self._channels)

    def _hand_over(self, small: SmallJob, begun: Begun | None) -> JobRun:
        """Begin a JobRun in place of a small job."""
        run = self._new_run(small.claim, small.targets, small.turn, small.pushes, begun)
        self._running.replace(small, run)
        self._start(run)
        return run

    def _new_run(
        self,
        claim: Claim,
        targets: Sequence[Target] | None,
        turn: Turn,
        pushes: Pushes,
        begun: Begun | None = None,
    ) -> JobRun:
        return JobRun(
            claim=claim,
            first_targets=targets,
            pushes=pushes,
            store=self._store,
            recorder=self._recorder,
            reader=self._reader,
            owner=self._owner,
            stopping=self._stopping,
            wake=self._wake,
            is_shard=claim.parent_id is not None,
            turn=turn,
            begun=begun,
            stragglers=self._stragglers,
            on_turn=self._running.begin_turn,
            on_split=self._running.become_shard,
            on_early_start=self._running.leave_to_stragglers,
        )

    def _start(self, run: JobRun | SmallJob) -> None:
        name = f"job-{run.claim.job_id}"
        run.task = asyncio.create_task(self._guard(run), name=name)

    async def _guard(self, run: JobRun | SmallJob) -> None:
        """Run a job; its failure must not affect the other jobs."""
        is_over = True
        context.begin_job(run.claim.job_id, run.claim.request_id)
        try:
            is_over = await run.run()
        except Exception:
            log.exception("job %d: cannot be worked on", run.claim.job_id)
            await self._postpone(run.claim)
        finally:
            if is_over:
                self._forget(run)

    def _forget(self, run: JobRun | SmallJob) -> None:
        self._reader.forget(run.claim)
        context.requests.pop(run.claim.job_id, None)
        self._running.remove(run)
        self._wake.set()

    async def _postpone(self, claim: Claim) -> None:
        """Retry a job that fails by itself later; end it if it has expired."""
        now = utc_now()
        expired = now >= claim.notification.expires_at
        pause = timedelta(seconds=retry_delay_s(claim.attempts))
        postpone = partial(
            leases.postpone,
            attempts=claim.attempts,
            error="internal error; see the log of the notifier",
            until=None if expired else now + pause,
        )
        await self._store.write_leased(self._lease, postpone, self._owner, claim.job_id)
        self._claimer.lower(claim.parent_id or claim.job_id)

    def _cancel_lost(self, lost: Mapping[int, int | None]) -> None:
        """Another engine has these jobs now, so every write of ours is refused."""
        for run in self._running.find(lost):
            # It may have been given back in order, although the answer was lost; then
            # it may even run here again.
            if run.claim.attempts == lost[run.claim.job_id]:
                if not run.is_released:
                    job_id = run.claim.job_id
                    about = {context.JOB: job_id}
                    log.warning("job %d: lease lost, dropped", job_id, extra=about)
                run.cancel()

    async def _cancel_refused(self, job_id: int) -> None:
        """The database refuses the job's progress; another try may succeed."""
        for run in self._running.find([job_id]):
            run.cancel()
            try:
                await self._postpone(run.claim)
            except SQLAlchemyError:
                log.exception("job %d: cannot be put off, its lease runs out", job_id)

    async def _finish(self) -> None:
        """Let running jobs stop, and record their progress."""
        await self._wait_for_jobs(STOP_TIMEOUT_S)
        for run in self._running:
            run.cancel()
        await self._wait_for_jobs(CANCEL_TIMEOUT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._importer.stop()
                await self._recorder.flush()

    async def _wait_for_jobs(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._running:
                    # It is set when a job has ended.
                    self._wake.clear()
                    await self._wake.wait()

    async def _close(self) -> None:
        self._importer.close()
        for run in self._running:
            run.cancel()
        for channel in self._channels.values():
            await channel.close()
        with suppress(Exception):
            # Without a database the leases run out by themselves.
            # If the thread is still busy, it releases them before it ends.
            release = self._store.write(due_work.release_owner, self._owner)
            async with asyncio.timeout(1):
                await asyncio.shield(release)
        self._store.close()
