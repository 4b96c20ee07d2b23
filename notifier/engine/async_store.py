"""The synchronous datastore on a thread of its own, patient with outages."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from datastore import Datastore

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class AsyncStore:
    """Runs queries in order on one thread; waits while the database is away.

    A query is repeated until it succeeds or the caller is cancelled: what the engine
    knows about pushes already made must not be dropped because a disk is full or a
    server restarts. Writes are fenced by the lease, so a late one does no harm.
    """

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="datastore")

    @property
    def is_crowded(self) -> bool:
        """Whether whoever writes here keeps others waiting who want to write, too."""
        return self.datastore.is_crowded

    async def read(
        self,
        query: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        def work() -> T:
            with self.datastore.read() as session:
                return query(session, *args, **kwargs)

        return await self._run(work)

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

    async def call(
        self,
        work: Callable[Concatenate[Datastore, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """For several transactions at once; each trip to the thread takes its time."""
        return await self._run(partial(work, self.datastore, *args, **kwargs))

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await loop.run_in_executor(self.executor, work)
            except DBAPIError as problem:
                if not _may_pass(problem):
                    raise
                log.warning("the database is away, waiting: %s", problem.orig)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def close(self) -> None:
        self.executor.shutdown(wait=True)
        self.datastore.close()


def _may_pass(problem: DBAPIError) -> Any:
    """Whether it is the database's state, not our statement, that is at fault."""
    return problem.connection_invalidated or type(problem).__name__ in (
        "OperationalError",
        "InterfaceError",
        "InternalError",
    )
