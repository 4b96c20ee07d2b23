"""Looks at the outbox from outside the engine: is work due, and which owners died?"""

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from math import inf

from sqlalchemy.exc import SQLAlchemyError

from config import Settings, platforms
from datastore import Datastore, live_platforms, outages
from datastore.outbox import due_work
from models.base import utc_now
from notifier.process import deletions, fork_safety
from notifier.process.phones import Phones
from notifier.process.slots import Slot, Slots
from notifier.retry_delays import LONGEST_DELAY_S

log = logging.getLogger(__name__)

# Web workers that started together must not all ask at the same moment.
JITTER = 0.2
# A lease that ends more than ten leases from now was given while a clock was ahead.
# Not fewer, because another host may have a longer `BOTTLEPOST_LEASE_S`.
LONGEST_LEASE = 10
# How often it looks for retries that were planned while a clock was ahead.
RETRIES_EVERY_S = 600.0
CLOCK_SKEW = timedelta(minutes=1)
SHORTEST_PAUSE_S = 0.05
CLOSE_S = 1.0


class Watchdog:
    """A daemon thread that regularly asks the outbox whether work is due.

    It calls `on_due` on that thread, or `on_overdue` when work is still due after a
    whole round, because the process that was woken has no room or hangs. It also
    releases the leases of killed processes in `slots`; None means there are no slots.
    Between its looks it joins the rows of phones (`phones.py`), carries out the
    deletions of users (`deletions.py`), and says now and then which platforms its host
    is set up for.
    """

    def __init__(
        self,
        settings: Settings,
        on_due: Callable[[], object],
        *,
        on_overdue: Callable[[], object] | None = None,
        slots: Slots | None = None,
    ) -> None:
        self._settings = settings
        self._every_s = settings.watchdog_s
        self._longest_lease = timedelta(seconds=settings.lease_s * LONGEST_LEASE)
        self._on_due = on_due
        self._on_overdue = on_overdue or on_due
        self._slots = slots
        self._phones = Phones()
        self._is_failing = False
        self._was_due = False
        self._look_at_retries_at = 0.0
        self._announce_at = 0.0
        self._closing = False
        self._check_requested = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def check_now(self) -> None:
        self._check_requested.set()

    def close(self) -> None:
        self._closing = True
        self._check_requested.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        store = Datastore.of(self._settings)
        while not self._closing:
            self._check_requested.clear()
            pause_s = self._round(store)
            self._join_phones(store)
            self._announce(store)
            if self._delete_users(store):
                pause_s = min(pause_s, SHORTEST_PAUSE_S)
            self._check_requested.wait(pause_s)
        store.close()

    def _join_phones(self, store: Datastore) -> None:
        try:
            with fork_safety.no_fork():
                self._phones.join_some(store)
        except Exception as problem:
            # The next round goes on.
            log.debug("the rows of phones cannot be joined now: %s", problem)

    def _announce(self, store: Datastore) -> None:
        """Tell the other hosts which platforms this one is set up for."""
        found = platforms.configured(self._settings)
        if not found or time.monotonic() < self._announce_at:
            return
        try:
            with fork_safety.no_fork():
                live_platforms.announce(store, found, utc_now())
        except Exception as problem:
            # The next round tries again.
            log.debug("the platforms cannot be announced now: %s", problem)
            return
        self._announce_at = time.monotonic() + live_platforms.EVERY.total_seconds()

    def _delete_users(self, store: Datastore) -> bool:
        """Whether there is more to do."""
        try:
            with fork_safety.no_fork():
                return deletions.go_on(store)
        except Exception as problem:
            # Any process goes on with it, and so does the next round.
            log.debug("users cannot be deleted now: %s", problem)
            return False

    def _round(self, store: Datastore) -> float:
        """Check once; returns the seconds until the next time."""
        pause_s = self._every_s * random.uniform(1 - JITTER, 1 + JITTER)
        try:
            with fork_safety.no_fork():
                left_s = outages.retrying(partial(self._check, store))
        except Exception as problem:
            # Whatever failed, there has to be a next round.
            if not self._is_failing:
                log.error("the watchdog cannot look at the outbox: %s", problem)
            self._is_failing = True
            return pause_s
        self._is_failing = False
        if left_s > 0:
            self._was_due = False
            return max(min(pause_s, left_s), SHORTEST_PAUSE_S)
        is_overdue = self._was_due and left_s < -self._every_s
        self._was_due = True
        self._call(self._on_overdue if is_overdue else self._on_due)
        return pause_s

    def _call(self, wake: Callable[[], object]) -> None:
        if self._closing:
            # The owner that has closed us expects no call any more.
            return
        try:
            wake()
        except Exception:
            # Whatever failed, there has to be a next round.
            log.exception("work is due, and the wake-up failed")

    def _check(self, store: Datastore) -> float:
        """Seconds until something is due, which stale leases are at once."""
        # On SQLite it also notices, and logs, that the file has been replaced.
        due_at = _next_due_at(store)
        if self._slots is not None and _release_stale_leases(store, self._slots):
            return 0.0
        if _release_leases_beyond(store, utc_now() + self._longest_lease):
            return 0.0
        if self._is_time_for_retries() and _bring_retries_forward(store):
            self._look_at_retries_at = 0.0
            return 0.0
        return inf if due_at is None else (due_at - utc_now()).total_seconds()

    def _is_time_for_retries(self) -> bool:
        """Rarely, because the look passes all messages with a later delivery time."""
        now = time.monotonic()
        if now < self._look_at_retries_at:
            return False
        self._look_at_retries_at = now + RETRIES_EVERY_S
        return True


def is_work_due(store: Datastore) -> bool:
    due_at = _next_due_at(store)
    return due_at is not None and due_at <= utc_now()


def take_over(store: Datastore, slot: Slot, owner: str) -> None:
    """Release the leases of a process killed in a slot, and record the new owner."""
    try:
        _release_leases(store, slot)
    except (SQLAlchemyError, OSError) as problem:
        # Then the leases have to expire.
        log.warning("cannot release the leases of a killed process: %s", problem)
    slot.set_owner(owner)


def _next_due_at(store: Datastore) -> datetime | None:
    """When the next job can be claimed; in the past if one can be now."""
    with store.read() as session:
        return due_work.next_due(session).next_at


def _release_stale_leases(store: Datastore, slots: Slots) -> bool:
    """Whether there was a slot to release; what is due does not wait for them."""
    found = False
    try:
        for slot in slots.stale():
            _release_leases(store, slot)
            found = True
    except (SQLAlchemyError, OSError) as problem:
        # The next round tries again; at the latest, the leases expire.
        log.warning("cannot release the leases of a killed process: %s", problem)
    return found


def _release_leases_beyond(store: Datastore, latest: datetime) -> int:
    """Release leases that no clock that is right has given; returns their number."""
    with store.read() as session:
        if not due_work.has_leases_beyond(session, latest):
            return 0
    with store.write() as session:
        jobs = due_work.release_leases_beyond(session, latest)
    log.warning("a clock was ahead: the leases of %d jobs have been released", jobs)
    return jobs


def _bring_retries_forward(store: Datastore) -> int:
    """Bring retries forward that no clock that is right has planned."""
    now = utc_now()
    latest = now + timedelta(seconds=LONGEST_DELAY_S) + CLOCK_SKEW
    with store.read() as session:
        if not due_work.has_retries_beyond(session, latest):
            return 0
    with store.write() as session:
        jobs = due_work.bring_retries_forward(session, latest, now)
    log.warning("a clock was ahead: retries of %d jobs are due now", jobs)
    return jobs


def _release_leases(store: Datastore, slot: Slot) -> None:
    """Make the jobs of the slot's recorded owner due now."""
    owner = slot.owner
    if owner is None:
        # Nothing is recorded, or nothing that can be read.
        slot.clear_owner()
        return
    with store.write() as session:
        jobs = due_work.release_owner(session, owner)
    slot.clear_owner()
    log.warning("%s was killed; %d jobs are due again", owner, jobs)
