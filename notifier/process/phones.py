"""Joins the rows of phones that older versions stored twice, beside other work."""

import logging
import time

from datastore import Datastore, device_rows, outages

log = logging.getLogger(__name__)

# What a round may cost; then the next round goes on.
BUDGET_S = 0.05
# Senders wait for a transaction on SQLite, so it is short.
DEVICES_AT_ONCE = 50


class Phones:
    """One pass over all devices, a part of it in each call of `join_some`.

    Each process makes a pass after its start. So the last process of an update finds
    what older ones have stored until then, and a pass that was cut off is made again.
    """

    def __init__(self) -> None:
        self._after: int | None = 0

    def join_some(self, store: Datastore) -> None:
        """Go on for about BUDGET_S; raises the database's errors."""
        ends_at = time.monotonic() + BUDGET_S
        while self._after is not None:
            with store.read() as session:
                look = device_rows.look(session, self._after)
            for start in range(0, len(look.ids), DEVICES_AT_ONCE):
                self._join(store, look.ids[start : start + DEVICES_AT_ONCE])
            self._after = look.last
            if time.monotonic() > ends_at:
                return

    def _join(self, store: Datastore, ids: list[int]) -> None:
        def join() -> int:
            with store.write() as session:
                return device_rows.join_some(session, ids)

        if ended := outages.retrying(join):
            log.info("%d devices were further rows of a phone", ended)
