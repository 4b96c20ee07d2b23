"""Claim, fan out, send, record: the only way a push leaves the house."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from config import PREVIEW_FULL, Settings
from datastore import Datastore
from datastore.outbox import Claim, due_work, leases
from models.base import utc_now
from notifier import channels
from notifier.channels import Channel, ProviderTokens, Troubles
from notifier.engine import redact
from notifier.engine.async_store import AsyncStore
from notifier.engine.importer import Importer
from notifier.engine.job_run import JobRun
from notifier.engine.provider_tokens import SharedTokens
from notifier.engine.provider_troubles import SharedTroubles
from notifier.engine.recorder import Recorder
from notifier.engine.running_jobs import RunningJobs
from notifier.outcome import retry_delay_s

log = logging.getLogger(__name__)

# Jobs worked on at once: at 80 ms a round trip, some 2,000 small chats a second.
MAX_JOBS = 256
# While jobs are under way claims are so far apart, and take what has come in between
# together.
CLAIMS_APART_S = 0.02
# When senders queue for the database, each claim is a turn that they wait for.
CROWD_APART_S = 0.1
# Jobs that wait here for their turn in their chat, in which they follow one another
# faster than by a claim for each.
MAX_WAITING = 32
# Parts of large jobs worked on at once; the other parts are left to other engines.
MAX_SHARDS = 1
# A database that is away is waited for, but it must not keep us from leaving.
LOOK_S = 5.0
LOOK_AGAIN_S = 1.0
# What is in flight when we are told to stop has this long to be answered.
STOP_S = 10.0

OpenChannels = Callable[[ProviderTokens, Troubles], Mapping[str, Channel]]


def build(settings: Settings, *, owner: str) -> "Engine":
    """An engine on the database and with the channels of the settings."""
    return Engine(
        # A record that a power cut takes back is pushed again, which does no harm.
        Datastore(settings.database_url, durable=False),
        partial(channels.create, settings),
        owner=owner,
        lease_s=settings.lease_s,
        push_preview=settings.push_preview,
    )


class Engine:
    """Works through the outbox on one event loop; one per process.

    `owner` is its name in the leases: unlike that of any other engine, ever.
    """

    def __init__(
        self,
        store: Datastore,
        open_channels: OpenChannels,
        *,
        owner: str,
        lease_s: float,
        push_preview: str = PREVIEW_FULL,
    ) -> None:
        self._store = AsyncStore(store)
        self._open_channels = open_channels
        self._owner = owner
        self._lease = timedelta(seconds=lease_s)
        self._preview = push_preview
        # Claimed, but not yet begun: see `work.take`.
        self._claimed: list[int] = []
        self._running = RunningJobs()
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._importer: Importer
        self._recorder: Recorder
        self._channels: Mapping[str, Channel]

    @property
    def has_room(self) -> bool:
        """Whether another job would be begun at once."""
        return len(self._running) < MAX_JOBS

    @property
    def _is_busy(self) -> bool:
        return bool(self._running) or self._importer.is_busy

    async def run(self, *, linger_s: float | None, wake: asyncio.Event) -> None:
        """Work until nothing has been due for `linger_s`; None means until `stop`.

        `wake` set by anybody makes it look at the outbox at once.
        """
        self._wake = wake
        shared = self._store.datastore, self._store.executor
        self._channels = self._open_channels(
            SharedTokens(*shared), SharedTroubles(*shared)
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
            lease_s=self._lease.total_seconds(),
            on_lost=self._drop,
            on_refused=self._give_up,
        )
        try:
            async with asyncio.TaskGroup() as group:
                services = [
                    group.create_task(self._recorder.run()),
                    group.create_task(self._recorder.keep_leases()),
                ]
                await self._work(linger_s)
                for service in services:
                    service.cancel()
        finally:
            await self._close()

    def stop(self) -> None:
        """Begin nothing new, finish what is in flight, give the leases back."""
        self._stopping.set()
        self._wake.set()

    async def _work(self, linger_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        idle_since = loop.time()
        while not self._stopping.is_set():
            # Nothing may be awaited between that look and this line.
            self._wake.clear()
            claimed_at = loop.time()
            due_at = await self._look() if self.has_room else None
            if self._is_busy:
                idle_since = loop.time()
            left_s = None
            if linger_s is not None and not self._is_busy:
                left_s = idle_since + linger_s - loop.time()
                # A job that ended while we looked may have left something to claim.
                if left_s <= 0 and not self._wake.is_set():
                    break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _sooner(left_s, due_at))
            await asyncio.sleep(claimed_at + self._pause_s() - loop.time())
        await self._finish()

    def _pause_s(self) -> float:
        """Seconds from one claim to the next."""
        if self._store.is_crowded:
            return CROWD_APART_S
        return CLAIMS_APART_S if self._running else 0.0

    async def _look(self) -> datetime | None:
        """Begin what is due; returns when to look again, if we know."""
        try:
            async with asyncio.timeout(LOOK_S):
                return await self._claim()
        except TimeoutError:
            return utc_now() + timedelta(seconds=LOOK_AGAIN_S)

    async def _claim(self) -> datetime | None:
        """Begin what is due; returns when something will be next, if we know."""
        due, jobs = await self._store.call(
            due_work.take,
            self._owner,
            self._claimed,
            limit=MAX_JOBS - len(self._running),
            chain=max(MAX_WAITING - self._running.waiting, 0),
            shards=max(MAX_SHARDS - self._running.shards, 0),
            with_imports=not self._importer.is_busy,
            lease=self._lease,
        )
        self._claimed.clear()
        if _is_past(due.import_at):
            self._importer.begin()
        for job in jobs:
            # After an outage our own lease of a job under way may have run out.
            if not self._running.keeps(job.claim.job_id):
                self._begin(job)
        if jobs:
            # What they leave may be claimable too.
            self._wake.set()
        return None if _is_past(due.push_at) else due.next_at

    def _begin(self, job: due_work.Job) -> None:
        claim = job.claim
        run = JobRun(
            claim=claim,
            first_targets=job.targets,
            notification=redact.redact(claim.notification, self._preview),
            channels=self._channels,
            store=self._store,
            recorder=self._recorder,
            owner=self._owner,
            stopping=self._stopping,
            wake=self._wake,
            is_shard=claim.parent_id is not None,
            turn=self._running.turn_after(job.follows),
        )
        task = asyncio.create_task(self._guard(run), name=f"job-{claim.job_id}")
        self._running.add(run, task)

    async def _guard(self, run: JobRun) -> None:
        """One job's trouble stays its own."""
        claim = run.claim
        try:
            await run.run()
        except Exception:
            log.exception("job %d: cannot be worked on", claim.job_id)
            await self._put_off(claim)
        finally:
            self._running.remove(run)
            self._wake.set()

    async def _put_off(self, claim: Claim) -> None:
        """Leave a job that fails by itself for later, and one that expired for good."""
        now = utc_now()
        expired = now >= claim.notification.expires_at
        await self._store.write(
            leases.put_off,
            self._owner,
            claim.job_id,
            error="internal error; see the log of the notifier",
            now=now,
            until=None if expired else now + _pause(claim.attempts),
        )

    def _drop(self, job_ids: set[int]) -> None:
        """Another engine has these now; whatever we still do to them is refused."""
        for run, task in self._running.among(job_ids):
            log.warning("job %d: lease lost, dropped", run.claim.job_id)
            task.cancel()

    async def _give_up(self, job_id: int) -> None:
        """The database refuses what came of it; that may pass, or not."""
        for run, task in self._running.among([job_id]):
            task.cancel()
            try:
                await self._put_off(run.claim)
            except SQLAlchemyError:
                log.exception("job %d: cannot be put off, its lease runs out", job_id)

    async def _finish(self) -> None:
        """Let jobs under way come to a stop, then give back what is left."""
        if self._running:
            _, late = await asyncio.wait(self._running.tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._importer.stop()
                await self._recorder.flush()

    async def _close(self) -> None:
        self._importer.close()
        for task in self._running.tasks:
            task.cancel()
        for channel in self._channels.values():
            await channel.close()
        with suppress(Exception):
            # Without a database the leases run out by themselves.
            # A thread that is late with something else does it before it ends.
            release = self._store.write(due_work.release_owner, self._owner, utc_now())
            async with asyncio.timeout(1):
                await asyncio.shield(release)
        self._store.close()


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=retry_delay_s(attempts))


def _is_past(moment: datetime | None) -> bool:
    return moment is not None and moment <= utc_now()


def _sooner(left_s: float | None, due_at: datetime | None) -> float | None:
    """Seconds to wait at most: until we would leave, or until something is due."""
    waits = [] if left_s is None else [left_s]
    if due_at is not None:
        waits.append((due_at - utc_now()).total_seconds())
    # A due job that we may not claim yet (its turn is not there) must not spin us.
    return max(min(waits), 0.01) if waits else None
