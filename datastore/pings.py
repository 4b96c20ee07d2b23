"""Pings of pooled connections: only those that were idle, as a ping is a round trip."""

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

# A connection that the server closes within this time costs one request a 503.
PING_AFTER_S = 1.0
_IDLE_SINCE = "idle_since"


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
