"""Trouble with our credentials, written where every process can read it."""

import asyncio
import logging
from concurrent.futures import Executor

from sqlalchemy.exc import SQLAlchemyError

from datastore import Datastore, provider_troubles
from models.base import utc_now

log = logging.getLogger(__name__)


class SharedTroubles:
    """The channels' board in the datastore."""

    def __init__(self, store: Datastore, executor: Executor) -> None:
        self._store = store
        self._executor = executor

    async def report(self, route: str, reason: str | None) -> None:
        """Why the route refuses our credentials, or None when it takes them."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._note, route, reason)

    def _note(self, route: str, reason: str | None) -> None:
        try:
            # Mostly all is well and was so before: that costs no transaction.
            with self._store.read() as session:
                if provider_troubles.reason_of(session, route) == reason:
                    return
            with self._store.write() as session:
                provider_troubles.report(session, route, reason, now=utc_now())
        except SQLAlchemyError:
            # The log has it too; pushes go on.
            log.warning("trouble with %s could not be recorded", route, exc_info=True)
