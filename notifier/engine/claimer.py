"""Claims due jobs, and takes up own claims whose result was lost."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from datastore import Datastore
from datastore.outbox import Claim, due_work
from datastore.outbox.claims import EVERYTHING, Floor
from datastore.outbox.due_work import Due, Job, Taken
from datastore.outbox.fairness import Room
from models.base import utc_now
from notifier.engine import ANY_JOB, IsRetired, never_retired
from notifier.engine.async_store import AsyncStore

# Every look begins where the last one found something, but one look in this time asks
# for everything, because no engine knows all jobs that others have made due.
FULL_LOOK_S = 1.0
# An id that no database has can only come from a forged wake-up.
LAST_ID = 2**63 - 1


class LookFloor:
    """Where the next look begins; used on the event loop.

    `take` gives the floor of a look, and `raise_to` what that look has found. Jobs that
    become due meanwhile keep the floor down, because the look may have missed them.
    """

    def __init__(self) -> None:
        self._floor = EVERYTHING
        # The lowest job that has become due since the look began.
        self._lowest: int | None = None
        self._full_look_at = 0.0
        # Whether the last look asked for everything.
        self.was_full = False

    def lower(self, job_id: int) -> None:
        """This job and later ones may be due now; ANY_JOB means any job."""
        if self._lowest is None or job_id < self._lowest:
            self._lowest = job_id
        self._lower()

    def take(self) -> Floor:
        """The floor of a look that begins now."""
        self._lowest = None
        left_s = self._full_look_at - time.monotonic()
        self.was_full = left_s <= 0 or self._floor == EVERYTHING
        if self.was_full:
            self._full_look_at = time.monotonic() + FULL_LOOK_S
            return EVERYTHING
        return self._floor._replace(until=utc_now() + timedelta(seconds=left_s))

    def raise_to(self, floor: Floor) -> None:
        """The look has come to its end."""
        self._floor = floor._replace(until=EVERYTHING.until)
        self._lower()

    def _lower(self) -> None:
        if self._lowest == ANY_JOB:
            self._floor = EVERYTHING
        elif self._lowest is not None and self._lowest < self._floor.job_id:
            self._floor = self._floor._replace(job_id=self._lowest)


class Claimer:
    """Looks at the outbox in one trip to the thread of the writes; one per engine.

    A look may be cut short after its claim was committed: the engine stops waiting, or
    the database goes away before the jobs are loaded. These jobs are leased to the
    engine, but it does not run them, so its next look begins with them.
    """

    def __init__(
        self,
        store: AsyncStore,
        *,
        owner: str,
        lease: timedelta,
        is_running: Callable[[Claim], bool],
        room: Room | None = None,
        is_retired: IsRetired = never_retired,
    ) -> None:
        self._store = store
        self._owner = owner
        self._lease = lease
        self._is_retired = is_retired
        # Both are asked from that thread.
        self._is_running = is_running
        self._room = room
        # Set by each look on that thread, cleared when its result is here.
        self._may_have_lost = False
        self._floor = LookFloor()
        self._had_shards = True
        # The jobs that wake-ups have named since the last look.
        self._named: set[int] = set()

    @property
    def is_sure(self) -> bool:
        """Whether the last look asked for everything, or no look will find anything."""
        return self._floor.was_full or self._is_retired()

    def lower(self, job_id: int) -> None:
        """This job and later ones may be due now; ANY_JOB means any job."""
        self._floor.lower(job_id)

    def expect(self, job_id: int) -> None:
        """A wake-up is for this job; ANY_JOB means any job."""
        if not 0 < job_id <= LAST_ID:
            job_id = ANY_JOB
        self._floor.lower(job_id)
        self._named.add(job_id)

    async def take_new(self) -> list[Job]:
        """The job that a wake-up has named, without a look, if it is the only one."""
        if len(self._named) != 1 or self._may_have_lost or self._is_retired():
            return []
        job_id = self._named.pop()
        if job_id == ANY_JOB:
            return []
        jobs = await self._store.call(self._take_new, job_id=job_id)
        self._may_have_lost = False
        return await self._admit(jobs)

    def _take_new(self, store: Datastore, *, job_id: int) -> list[Job]:
        # It is the second try if the first one's answer was lost.
        if lost := self._take_lost(store):
            return lost
        return due_work.take_new(store, self._owner, job_id, lease=self._lease)

    def _take_lost(self, store: Datastore) -> list[Job]:
        """Own jobs that are not under way, if there may be any."""
        # All looks run on one thread, so a look that was cut short has ended by now.
        may_have_lost, self._may_have_lost = self._may_have_lost, True
        if not may_have_lost:
            return []
        return due_work.take_lost(store, self._owner, is_running=self._is_running)

    async def take(
        self,
        *,
        limit: int,
        chain: int,
        behind: Sequence[int],
        shards: int,
        with_imports: bool,
    ) -> Taken:
        """The next due times, and the jobs that were claimed; see `due_work.take`."""
        if self._is_retired():
            return Taken(Due(), [])
        if shards and not self._had_shards:
            # The looks until now have passed over shards.
            self.lower(ANY_JOB)
        self._had_shards = shards > 0
        self._named.clear()
        taken = await self._store.call(
            self._take,
            floor=self._floor.take(),
            limit=limit,
            chain=chain,
            behind=behind,
            shards=shards,
            with_imports=with_imports,
        )
        self._may_have_lost = False
        self._floor.raise_to(taken.floor)
        return taken._replace(jobs=await self._admit(taken.jobs))

    async def _admit(self, jobs: list[Job]) -> list[Job]:
        """The jobs that may begin: none, once the engine has been retired.

        The look at the retirement comes after the claim. So jobs that are begun were
        posted before it, however long the claim took or the process was stopped.
        """
        if not jobs or not self._is_retired():
            return jobs
        ids = [job.claim.job_id for job in jobs]
        await self._store.write(due_work.give_back, self._owner, ids)
        return []

    def _take(
        self,
        store: Datastore,
        *,
        floor: Floor,
        limit: int,
        chain: int,
        behind: Sequence[int],
        shards: int,
        with_imports: bool,
    ) -> Taken:
        if lost := self._take_lost(store):
            return Taken(Due(), lost)
        return due_work.take(
            store,
            self._owner,
            limit=limit,
            chain=chain,
            behind=behind,
            shards=shards,
            with_imports=with_imports,
            floor=floor,
            room=self._room,
            lease=self._lease,
        )
