"""Replaces pooled connections that are of no use any more, before they are used.

Only those that were idle are pinged, because a ping is a round trip.
"""

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

from datastore import outages

# A connection that the server closes within this time costs one request a 503.
PING_AFTER_S = 1.0
_IDLE_SINCE = "idle_since"
_OPENED = "opened"


class Freshness:
    """When the database was last seen to be a standby; shared by a store's pools.

    After a failover, connections that were opened before lead to a server that takes no
    writes, and reads do not notice it.
    """

    def __init__(self) -> None:
        self._standby_seen = 0.0

    def watch(self, engine: Engine) -> None:
        def on_connect(_driver: Any, record: Any) -> None:
            record.info[_OPENED] = time.monotonic()

        def on_invalidate(_driver: Any, _record: Any, problem: Any) -> None:
            if outages.is_read_only(problem):
                self._standby_seen = time.monotonic()

        def on_checkout(_driver: Any, record: Any, _fairy: Any) -> None:
            if record.info[_OPENED] <= self._standby_seen:
                raise InvalidatePoolError

        event.listen(engine, "connect", on_connect)
        event.listen(engine, "invalidate", on_invalidate)
        event.listen(engine, "checkout", on_checkout)


def ping_idle(engine: Engine) -> None:
    """Replace connections that the server has closed before they are used again."""

    def on_checkin(_driver: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    def on_checkout(driver: Any, record: Any, _fairy: Any) -> None:
        since = record.info.get(_IDLE_SINCE)
        if since is None or time.monotonic() - since < PING_AFTER_S:
            return
        dialect = engine.dialect
        try:
            dialect.do_ping(driver)
        except dialect.loaded_dbapi.Error as problem:
            if dialect.is_disconnect(problem, driver, None):
                raise InvalidatePoolError from problem
            raise

    event.listen(engine, "checkin", on_checkin)
    event.listen(engine, "checkout", on_checkout)
