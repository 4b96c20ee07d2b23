"""Problems with providers, recorded where every process can read them."""

import asyncio
import logging
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from datastore import Datastore, live_platforms, missing_hosts, provider_troubles
from models.base import utc_now
from notifier.engine.async_store import AsyncStore

log = logging.getLogger(__name__)

# Pushes wait for a report, so an outage longer than this loses it.
REPORT_TIMEOUT_S = 5.0


class SharedTroubles:
    """Records in the datastore which routes are in trouble, and hosts that are none."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def report(self, route: str, reason: str | None) -> None:
        """Why pushes of the route have to wait, or None when one was accepted.

        Never raises, because the log has the problem, too, and pushes must go on.
        """
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                await self._store.call(_record, route, reason)
        except (TimeoutError, SQLAlchemyError):
            log.warning("trouble with %s could not be recorded", route, exc_info=True)

    async def host_missing(self, host: str) -> datetime | None:
        """Since when look-ups have found no such host; None if that is not known."""
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                return await self._store.call(_note_missing, host)
        except (TimeoutError, SQLAlchemyError):
            log.warning("the missing host %s could not be noted", host, exc_info=True)
            return None

    async def is_live(self, platform: str) -> bool:
        """Whether a process of any host is set up for the platform."""
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                return platform in await self._store.read(
                    live_platforms.find, utc_now()
                )
        except (TimeoutError, SQLAlchemyError):
            # Nothing is given up because of an outage.
            return True

    async def host_found(self, host: str) -> None:
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                await self._store.call(_forget_missing, host)
        except (TimeoutError, SQLAlchemyError):
            # Without look-ups that find nothing, the entry is forgotten after a day.
            log.warning("the host %s could not be forgotten", host, exc_info=True)


def _note_missing(store: Datastore, host: str) -> datetime:
    # Many devices may have the same host.
    with store.read() as session:
        since = missing_hosts.find(session, host, utc_now())
    if since is not None:
        return since
    with store.write() as session:
        return missing_hosts.note(session, host, utc_now())


def _forget_missing(store: Datastore, host: str) -> None:
    with store.write() as session:
        missing_hosts.forget(session, host)


def _record(store: Datastore, route: str, reason: str | None) -> None:
    # Usually nothing has changed, and then no write transaction is needed.
    with store.read() as session:
        if provider_troubles.reason_of(session, route) == reason:
            return
    with store.write() as session:
        provider_troubles.report(session, route, reason, now=utc_now())
