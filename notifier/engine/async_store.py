"""Runs the synchronous datastore on threads and retries while it is away."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from datastore import Datastore, outages
from datastore.database_file import DatabaseReplaced
from models.base import utc_now
from notifier.engine import StuckDatabase
from notifier.engine.database_thread import DatabaseThread

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# A thread is looked at this many times before it counts as stuck.
LOOKS_UNTIL_STUCK = 8


class AsyncStore:
    """Runs reads on one thread and writes on another; waits while the database is away.

    A write may wait for other writers, and a chat whose next message is read meanwhile
    must not.

    A query is repeated until it succeeds or its caller is cancelled, because the
    outcomes of pushes already made must not be dropped when a disk is full or a server
    restarts. A late write does no harm: the lease fences it. A caller that must not
    wait that long sets a timeout; a query that runs then still ends on the thread.

    A thread is stuck when a transaction on it takes longer than `stuck_after_s`, for
    example because the server hangs. Nothing can wake it, so it is left behind, and
    the datastore refuses what it would write if it woke up.
    """

    def __init__(self, datastore: Datastore, *, stuck_after_s: float = inf) -> None:
        self.datastore = datastore
        self._stuck_after_s = stuck_after_s
        self._reads = DatabaseThread("reads")
        self._writes = DatabaseThread("writes")
        self._threads = self._reads, self._writes
        for thread in self._threads:
            datastore.call_at_begin(thread.gives_sign)

    async def read(
        self,
        query: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        def work() -> T:
            with self.datastore.read() as session:
                return query(session, *args, **kwargs)

        return await self._run(work, self._reads)

    async def write(
        self,
        query: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        def work() -> T:
            with self.datastore.write() as session:
                return query(session, *args, **kwargs)

        return await self._run(work)

    async def write_leased(
        self, lease: timedelta, query: Callable[..., T], *args: Any
    ) -> T:
        """Write with `now` and `lease_until`, read once the transaction may write.

        A wait for the database therefore does not shorten the lease.
        """

        def work() -> T:
            with self.datastore.write() as session:
                now = utc_now()
                return query(session, *args, now=now, lease_until=now + lease)

        return await self._run(work)

    async def call(
        self,
        work: Callable[Concatenate[Datastore, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run several transactions in one trip to the thread of the writes."""
        return await self._run(partial(work, self.datastore, *args, **kwargs))

    async def _run(
        self, work: Callable[[], T], thread: DatabaseThread | None = None
    ) -> T:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await loop.run_in_executor(
                    thread or self._writes, outages.retrying, work
                )
            except PoolTimeout as problem:
                log.warning("no connection is free, waiting: %s", problem)
            except DBAPIError as problem:
                if not _is_outage(problem):
                    raise
                log.warning("the database is away, waiting: %s", problem.orig)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def watch(self) -> None:
        """Raise StuckDatabase when a thread is stuck; else run forever."""
        while True:
            await asyncio.sleep(self._stuck_after_s / LOOKS_UNTIL_STUCK)
            if any(each.busy_s > self._stuck_after_s for each in self._threads):
                raise StuckDatabase(
                    f"the database has not answered for {self._stuck_after_s:g} s"
                )

    def stop_threads(self) -> None:
        """Wait for the running queries, unless one is stuck; the datastore stays open.

        If a thread is left behind, the datastore is abandoned.
        """
        # Each of them is told to end, whatever the other one does.
        are_over = [thread.end(self._stuck_after_s) for thread in self._threads]
        if not all(are_over):
            self.datastore.abandon()

    def close(self) -> None:
        """Close the datastore, too. Raises StuckDatabase if a thread is left behind."""
        self.stop_threads()
        if self.datastore.is_abandoned:
            raise StuckDatabase("the database does not answer")
        self.datastore.close()


def _is_outage(problem: DBAPIError) -> bool:
    """Whether the state of the database is at fault, and not our statement.

    A replaced file does not come back: this engine ends, and the next one opens the new
    file.
    """
    if isinstance(problem, DatabaseReplaced):
        return False
    outages = OperationalError, InterfaceError, InternalError
    return problem.connection_invalidated or isinstance(problem, outages)
