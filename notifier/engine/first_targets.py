"""Reads the first devices of jobs whose turn in their chat has come."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from datastore.outbox import Claim, due_work, fanout
from datastore.outbox.fanout import Listener
from models.base import utc_now
from models.pushes import Target
from notifier.engine.async_store import AsyncStore


class FirstRead(NamedTuple):
    """The first devices of a job, and whether there are no others."""

    targets: Sequence[Target]
    is_all: bool


Found = FirstRead | None

# Devices are read again when they are older than this: members and messages change.
MAX_AGE_S = 0.05
# Jobs that are read in one trip, so that none waits long for the others.
JOBS_PER_TRIP = 32
# A chat whose devices do not serve several messages is not tried again for this long.
TRY_AGAIN_S = 1.0


class _Snapshot(NamedTuple):
    """The devices of a chat, for all of its messages up to a number."""

    listeners: list[Listener]
    up_to_seq: int
    deleted: set[int]
    read_at: float


class FirstTargets:
    """Reads for many jobs in one trip to the datastore; one per engine.

    A job that waits for its turn has no devices yet, because by then they might have
    left, and its message might have been deleted. While one trip is on its way, the
    jobs whose turn comes gather for the next one. In a busy chat the devices that were
    read for one message serve the next ones, too, as long as they are fresh.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        # Jobs that wait for their turn here, by chat.
        self._expected: dict[int, dict[int, Claim]] = defaultdict(dict)
        self._snapshots: dict[int, _Snapshot] = {}
        # Chats without a snapshot, and when it may be tried again.
        self._without: dict[int, float] = {}
        self._waiting: list[tuple[Claim, asyncio.Future[Found]]] = []
        self._task: asyncio.Task[None] | None = None

    def expect(self, claim: Claim) -> None:
        """The devices of this job will be wanted when its turn has come."""
        self._expected[claim.chat_id][claim.job_id] = claim

    def forget(self, claim: Claim) -> None:
        expected = self._expected.get(claim.chat_id)
        if expected is not None:
            expected.pop(claim.job_id, None)
            if not expected:
                del self._expected[claim.chat_id]
                self._snapshots.pop(claim.chat_id, None)
                self._without.pop(claim.chat_id, None)

    async def read(self, claim: Claim) -> Found:
        """The first devices of the job; None if its message was deleted."""
        snapshot = self._snapshots.get(claim.chat_id)
        if snapshot is not None and _is_for(snapshot, claim):
            if claim.job_id in snapshot.deleted:
                return None
            chosen = fanout.choose(snapshot.listeners, claim, utc_now())
            return FirstRead(chosen, is_all=True)
        found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((claim, found))
        if self._task is None:
            self._task = asyncio.create_task(self._read_all(), name="first-targets")
        return await found

    async def _read_all(self) -> None:
        while self._waiting:
            waiting = self._waiting[:JOBS_PER_TRIP]
            del self._waiting[:JOBS_PER_TRIP]
            try:
                await self._read_together(waiting)
            except Exception:
                # A job that cannot be read must not affect the others.
                for one in waiting:
                    await self._read_alone(*one)
        self._task = None

    async def _read_together(
        self, waiting: list[tuple[Claim, asyncio.Future[Found]]]
    ) -> None:
        read_at = time.monotonic()
        claims = [claim for claim, _ in waiting]
        behind = {
            claim.job_id: list(self._expected[claim.chat_id].values())
            for claim in claims
            if len(self._expected.get(claim.chat_id, ())) > 1
            and self._without.get(claim.chat_id, 0.0) < read_at
        }
        targets, chats = await self._store.read(
            due_work.read_first_targets, claims, behind
        )
        for chat in chats:
            self._snapshots[chat.chat_id] = _Snapshot(
                chat.listeners, chat.up_to_seq, chat.deleted, read_at
            )
        whole = {chat.job_id for chat in chats}
        for claim, found in waiting:
            if claim.job_id not in targets:
                targets[claim.job_id] = await self._read_slowly(claim)
            if claim.job_id in behind and claim.job_id not in whole:
                self._without[claim.chat_id] = read_at + TRY_AGAIN_S
            if not found.done():
                is_all = claim.job_id in whole
                found.set_result(_first(targets[claim.job_id], is_all=is_all))

    async def _read_slowly(self, claim: Claim) -> list[Target] | None:
        return await self._store.call(
            fanout.next_targets,
            claim,
            after=claim.cursor,
            limit=due_work.FIRST_TARGETS,
            now=utc_now(),
        )

    async def _read_alone(self, claim: Claim, found: asyncio.Future[Found]) -> None:
        try:
            await self._read_together([(claim, found)])
        except Exception as problem:
            if not found.done():
                found.set_exception(problem)


def _first(targets: Sequence[Target] | None, *, is_all: bool) -> Found:
    if targets is None:
        return None
    return FirstRead(targets, is_all or len(targets) < due_work.FIRST_TARGETS)


def _is_for(snapshot: _Snapshot, claim: Claim) -> bool:
    return (
        time.monotonic() <= snapshot.read_at + MAX_AGE_S
        and claim.seq <= snapshot.up_to_seq
        and fanout.is_plain(claim)
    )
