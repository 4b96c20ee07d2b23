"""Runs the synchronous datastore on threads and retries while it is away."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from datastore import Datastore, outages
from datastore.database_file import DatabaseReplaced
from models.base import utc_now

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class AsyncStore:
    """Runs reads on one thread and writes on another; waits while the database is away.

    A write may wait for other writers, and a chat whose next message is read meanwhile
    must not.

    A query is repeated until it succeeds or its caller is cancelled, because the
    outcomes of pushes already made must not be dropped when a disk is full or a server
    restarts. A late write does no harm: the lease fences it. A caller that must not
    wait that long sets a timeout; a query that runs then still ends on the thread.
    """

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="reads")
        self._writes = ThreadPoolExecutor(1, thread_name_prefix="writes")

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
        self, work: Callable[[], T], thread: ThreadPoolExecutor | None = None
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

    def stop_threads(self) -> None:
        """Wait for the running queries; the datastore stays open."""
        self._reads.shutdown(wait=True)
        self._writes.shutdown(wait=True)

    def close(self) -> None:
        self.stop_threads()
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
