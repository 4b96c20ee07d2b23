"""Problems with our credentials, recorded where every process can read them."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError

from datastore import Datastore, provider_troubles
from models.base import utc_now
from notifier.engine.async_store import AsyncStore

log = logging.getLogger(__name__)

# Pushes wait for a report, so an outage longer than this loses it.
REPORT_TIMEOUT_S = 5.0


class SharedTroubles:
    """Records in the datastore which providers refuse our credentials."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def report(self, route: str, reason: str | None) -> None:
        """Why the route refuses our credentials, or None when it takes them.

        Never raises, because the log has the problem, too, and pushes must go on.
        """
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                await self._store.call(_record, route, reason)
        except (TimeoutError, SQLAlchemyError):
            log.warning("trouble with %s could not be recorded", route, exc_info=True)


def _record(store: Datastore, route: str, reason: str | None) -> None:
    # Usually nothing has changed, and then no write transaction is needed.
    with store.read() as session:
        if provider_troubles.reason_of(session, route) == reason:
            return
    with store.write() as session:
        provider_troubles.report(session, route, reason, now=utc_now())
