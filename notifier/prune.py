"""`bottlepost prune`: deletes what is old, in small steps."""

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from sqlalchemy.orm import Session

from config import Settings
from datastore import (
    Datastore,
    deletions,
    partitions,
    provider_troubles,
    retention,
)
from models.base import utc_now
from notifier import partition

# Small transactions, so that senders hardly notice.
BATCH = 200
# Each message takes its job with it, and senders to its conversation wait meanwhile.
MESSAGES = 100
# The pauses in between, as multiples of the time of a transaction: other writers have
# the database for most of the time, however slow it is.
PAUSES = 3

Forget = Callable[[Session, datetime, int], int]
T = TypeVar("T")


class Pruned(NamedTuple):
    """How many of each are gone."""

    pushes: int
    imports: int
    messages: int
    client_ids: int = 0
    # Partitions of jobs, each of about a month.
    partitions: int = 0


def run(
    settings: Settings,
    *,
    days: int,
    minutes: int | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Pruned:
    """Delete the push jobs and the imports that ended `days` ago, and old messages.

    It may be stopped at any moment and run beside everything else; after `minutes` it
    leaves the rest to the next run. `tell` is called with the numbers of deleted rows.
    Raises the database's errors.
    """
    # What a power cut undoes, the next run does again.
    store = Datastore.of(settings, durable=False, patient=True)
    try:
        return _Round(store, minutes, tell).run(days, settings)
    finally:
        store.close()


class _Round:
    """One run over everything, for a limited time."""

    def __init__(
        self, store: Datastore, minutes: int | None, tell: Callable[[int], None]
    ) -> None:
        self._store = store
        self._tell = tell
        self._ends_at = None if minutes is None else time.monotonic() + minutes * 60

    def run(self, days: int, settings: Settings) -> Pruned:
        now = utc_now()
        before = now - timedelta(days=days)
        # Before the jobs, because messages take theirs with them.
        messages = self._messages(settings.message_days or None, now)
        with self._store.read() as session:
            is_partitioned = partitions.are_used(session)
        if is_partitioned:
            dropped = self._partitions(before)
            pushes = self._default_partition(before)
        else:
            dropped, pushes = 0, self._all(retention.forget_pushes, before)
        imports = self._all(retention.forget_imports, before)
        self._all(deletions.forget, before)
        self._step(lambda session: provider_troubles.forget(session, before))
        ids_before = now - timedelta(days=settings.client_id_days)
        client_ids = self._all(retention.forget_client_ids, ids_before)
        return Pruned(pushes, imports, messages, client_ids, dropped)

    def _partitions(self, before: datetime) -> int:
        """Add the next partition in time, and drop those whose jobs are all old."""
        partition.patiently(
            self._store, lambda session: partitions.go_on(session, utc_now())
        )
        with self._store.read() as session:
            old = partitions.old_ranges(session, before)
        for each in old:
            drop = partial(partitions.drop, old=each)
            partition.patiently(self._store, drop)
        return len(old)

    def _default_partition(self, before: datetime) -> int:
        """Delete jobs one by one that are in no range; usually there are none."""
        with self._store.read() as session:
            ids = partitions.in_default(session)
        if ids is None:
            return 0
        return self._all(partial(retention.forget_pushes, ids=ids), before)

    def _all(self, forget: Forget, before: datetime) -> int:
        count = 0
        while not self._is_over():
            forgotten = self._step(lambda session: forget(session, before, BATCH))
            count += forgotten
            self._tell(forgotten)
            if forgotten < BATCH:
                break
        return count

    def _messages(self, default_days: int | None, now: datetime) -> int:
        # From any conversation on, so that the last ones get their turn although time
        # is limited, and several runs at once rarely meet.
        with self._store.read() as session:
            start = random.randint(0, retention.last_chat(session))
        last = self._prune_chats(start, None, default_days, now)
        return last + self._prune_chats(0, start, default_days, now)

    def _prune_chats(
        self, after: int, until: int | None, default_days: int | None, now: datetime
    ) -> int:
        """Prune the conversations (ids) from `after` on, up to `until`."""
        count = 0
        last: int | None = after
        while last is not None and not self._is_over():
            with self._store.read() as session:
                look = retention.find_chats(
                    session, after=last, default_days=default_days, now=now
                )
            for chat_id in look.chats:
                if until is None or chat_id <= until:
                    count += self._prune_chat(chat_id, default_days, now)
            last = look.last
            if until is not None and last is not None and last >= until:
                break
        return count

    def _prune_chat(self, chat_id: int, default_days: int | None, now: datetime) -> int:
        count = 0
        last_seq: int | None = 0
        while last_seq is not None and not self._is_over():
            forget = partial(
                retention.forget_messages,
                chat_id=chat_id,
                after=last_seq,
                default_days=default_days,
                now=now,
                limit=MESSAGES,
            )
            forgotten = self._step(forget)
            count += forgotten.messages
            self._tell(forgotten.messages)
            last_seq = forgotten.last_seq
        return count

    def _step(self, work: Callable[[Session], T]) -> T:
        """Do some work in a transaction of its own, and then let others write."""
        started_at = time.monotonic()
        done = self._store.write_grouped(work)
        took_s = time.monotonic() - started_at
        time.sleep(PAUSES * took_s)
        return done

    def _is_over(self) -> bool:
        return self._ends_at is not None and time.monotonic() >= self._ends_at
