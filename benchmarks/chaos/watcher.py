"""Looks at the outbox ten times a second, by this process's own clock."""

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from benchmarks.chaos.databases import Database, Rows

EVERY_S = 0.1
OPEN = (
    "SELECT message_id, lease_owner, cursor_user, cursor_device, fanned_out"
    " FROM push_job WHERE finished_at IS NULL"
)
NEVER = float("inf")
# Behind all devices, and behind that: recorded when the job has ended.
END = (2**63, 0)
AFTER_ALL = (2**63, 1)
# (User, device): the order in which a job's devices are recorded.
Place = tuple[int, int]


class _Seen(NamedTuple):
    """The place up to which a job was recorded at a look."""

    at: float
    place: Place


class Watcher:
    """Notes how far the open jobs are recorded, and which engines hold leases.

    The product's own times come from clocks that a fault may have moved.
    """

    def __init__(self, database: Database) -> None:
        self.lease_owners: set[int] = set()
        self._seen: defaultdict[int, list[_Seen]] = defaultdict(list)
        self._looks: list[float] = []
        self._database = database
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def recorded_by(
        self, message: int, places: Mapping[str, Place], posted_at: float
    ) -> Iterator[tuple[str, float]]:
        """The first look from which on each device's push was always recorded.

        PostgreSQL may lose the last records of an engine when it is shut down.
        """
        seen = self._seen.get(message, [])
        for token, place in places.items():
            unrecorded_at = next(
                (look.at for look in reversed(seen) if look.place < place), posted_at
            )
            following = bisect_right(self._looks, unrecorded_at)
            is_later = following < len(self._looks)
            yield token, self._looks[following] if is_later else NEVER

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            # The database may be away or full just now.
            with suppress(Exception):
                began = time.time()
                self._note(began, self._database.rows(OPEN))
                self._looks.append(began)

    def _note(self, now: float, rows: Rows) -> None:
        owners = set()
        for message, owner, user, device, is_fanned_out in rows:
            place = END if is_fanned_out else (user, device)
            self._seen[message].append(_Seen(now, place))
            if owner:
                owners.add(int(owner.split(":")[1]))
        self.lease_owners = owners
