"""An engine that claims and ends jobs without pushing, in any process."""

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from config import Settings
from datastore import Datastore
from datastore.outbox import claims, due_work, progress
from models.base import utc_now
from notifier.engine import IsRetired, never_retired
from tests.support.outbox import ended


class CrashingEngines:
    """Ends its process and records the time, until the file `healed` exists."""

    def __call__(
        self, settings: Settings, *, owner: str, is_retired: IsRetired = never_retired
    ) -> "FakeEngine":
        if (settings.run_dir / "healed").exists():
            return FakeEngine(settings, owner, room=64, is_retired=is_retired)
        with (settings.run_dir / "crashes").open("a") as crashes:
            crashes.write(f"{time.monotonic()}\n")
        os._exit(3)


class FailingFirst:
    """Fails to build the first engine, and builds fake ones afterwards."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self, settings: Settings, *, owner: str, is_retired: IsRetired = never_retired
    ) -> "FakeEngine":
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("the first engine fails")
        return FakeEngines()(settings, owner=owner, is_retired=is_retired)


@dataclass(frozen=True)
class FakeEngines:
    """Builds fake engines in a child process; each has room for `room` jobs."""

    room: int = 64

    def __call__(
        self, settings: Settings, *, owner: str, is_retired: IsRetired = never_retired
    ) -> "FakeEngine":
        return FakeEngine(settings, owner, self.room, is_retired)


class FakeEngine:
    """Writes "job pid" to `pushed` for each job; holds jobs while `hold` exists."""

    def __init__(
        self,
        settings: Settings,
        owner: str,
        room: int,
        is_retired: IsRetired = never_retired,
    ) -> None:
        self._store = Datastore(settings.database_url)
        self._lease = timedelta(seconds=settings.lease_s)
        self._directory = settings.run_dir
        self._owner = owner
        self._room = room
        self._is_retired = is_retired
        self._held: list[int] = []
        self._stopping = False

    @property
    def has_room(self) -> bool:
        return len(self._held) < self._room

    async def run(self, *, linger_s: float | None, wake: asyncio.Event) -> None:
        self._wake = wake
        while not self._stopping:
            wake.clear()
            if self._claim() or self._end_jobs():
                continue
            try:
                timeout_s = 0.02 if self._held else linger_s
                await asyncio.wait_for(wake.wait(), timeout_s)
            except TimeoutError:
                if not self._held:
                    break
        with self._store.write() as session:
            due_work.release_owner(session, self._owner)

    def expect(self, job_id: int) -> None:
        """Every look of ours asks for everything."""

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def _claim(self) -> bool:
        now = utc_now()
        limit = self._room - len(self._held)
        with self._store.write() as session:
            ids = claims.claim(
                session,
                self._owner,
                limit=limit,
                now=now,
                lease_until=now + self._lease,
            )
            if ids and self._is_retired():
                due_work.give_back(session, self._owner, ids)
                return False
        self._held += ids
        return bool(ids)

    def _end_jobs(self) -> bool:
        if not self._held or (self._directory / "hold").exists():
            return False
        now = utc_now()
        steps = [ended(job_id) for job_id in self._held]
        with self._store.write() as session:
            progress.record(
                session, self._owner, steps, now=now, lease_until=now + self._lease
            )
        with (self._directory / "pushed").open("a") as pushed:
            pushed.writelines(f"{job_id} {os.getpid()}\n" for job_id in self._held)
        self._held.clear()
        return True


def pushed(directory: Path) -> list[tuple[int, int]]:
    """The (job, pid) of every push so far."""
    with suppress(FileNotFoundError):
        lines = (directory / "pushed").read_text().splitlines()
        return [(int(job), int(pid)) for job, pid in map(str.split, lines)]
    return []
