"""The watchdog of a web worker: finds the work that nobody was woken for."""

import logging
import random
import threading
from collections.abc import Callable
from math import inf

from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from datastore import Datastore
from models.base import utc_now
from notifier.process import fork_safety, lookout
from notifier.process.slots import Slots

log = logging.getLogger(__name__)

# Web workers that started together must not all ask at the same moment.
JITTER = 0.2
SHORTEST_PAUSE_S = 0.05
CLOSE_S = 1.0


class Watchdog:
    """A daemon thread that asks the outbox now and then whether work is due.

    `on_due` is called on that thread, or `on_late` when work is still due after a whole
    round: whoever was woken has no room for it, or hangs. `slots` are looked through
    for processes that died; None where there are none.
    """

    def __init__(
        self,
        settings: Settings,
        on_due: Callable[[], object],
        *,
        on_late: Callable[[], object] | None = None,
        slots: Slots | None = None,
    ) -> None:
        self._database_url = settings.database_url
        self._every_s = settings.watchdog_s
        self._on_due = on_due
        self._on_late = on_late or on_due
        self._slots = slots
        self._in_trouble = False
        self._was_due = False
        self._closing = False
        self._nudged = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Look now."""
        self._nudged.set()

    def close(self) -> None:
        self._closing = True
        self._nudged.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        store = Datastore(self._database_url)
        while not self._closing:
            self._nudged.clear()
            self._nudged.wait(self._round(store))
        store.close()

    def _round(self, store: Datastore) -> float:
        """Look once; returns the seconds until the next time."""
        pause_s = self._every_s * random.uniform(1 - JITTER, 1 + JITTER)
        try:
            with fork_safety.keep_out():
                left_s = self._look(store)
        except (SQLAlchemyError, OSError) as problem:
            if not self._in_trouble:
                log.error("the watchdog cannot look at the outbox: %s", problem)
            self._in_trouble = True
            return pause_s
        self._in_trouble = False
        if left_s > 0:
            self._was_due = False
            return max(min(pause_s, left_s), SHORTEST_PAUSE_S)
        is_late = self._was_due and left_s < -self._every_s
        self._was_due = True
        self._call(self._on_late if is_late else self._on_due)
        return pause_s

    def _call(self, wake: Callable[[], object]) -> None:
        if self._closing:
            # Whoever has closed us does not expect to be called any more.
            return
        try:
            wake()
        except Exception:
            # Whatever it was, there has to be a next round.
            log.exception("work is due, and nobody could be woken")

    def _look(self, store: Datastore) -> float:
        """Seconds until something is due; first frees what the dead held."""
        if self._slots is not None:
            lookout.free_abandoned_jobs(store, self._slots)
        due_at = lookout.next_due_at(store)
        return inf if due_at is None else (due_at - utc_now()).total_seconds()
