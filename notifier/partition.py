"""`bottlepost partition`: months of jobs as partitions, on PostgreSQL."""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from config import Settings
from datastore import Datastore, partitions
from models.base import utc_now

# While one of us waits for a table, all others wait, too. So each wait is short, and
# there are many of them.
TRIES = 100
PAUSE_S = 0.2
LOCK_NOT_AVAILABLE = "55P03"
CHECK_VIOLATION = "23514"
SERIALIZATION_FAILURE = "40001"
DEADLOCK = "40P01"
AGAIN = (LOCK_NOT_AVAILABLE, CHECK_VIOLATION, SERIALIZATION_FAILURE, DEADLOCK)

T = TypeVar("T")


class Unsupported(Exception):
    """Only PostgreSQL has partitions."""


def run(settings: Settings) -> bool:
    """Partition the tables of jobs; returns whether they were not partitioned before.

    Raises Unsupported, or the database's errors.
    """
    store = Datastore.of(settings, patient=True)
    try:
        now = utc_now()
        with store.read() as session:
            if not partitions.are_possible(session):
                raise Unsupported
            if partitions.are_used(session):
                return False
            ids = partitions.width(session, now)
        patiently(store, lambda session: partitions.create(session, ids, now))
        return True
    finally:
        store.close()


def patiently(store: Datastore, work: Callable[[Session], T]) -> T:
    """Do it in a transaction of its own, again if a lock cannot be had at once.

    And again if senders have meanwhile used up the ids that it wanted to skip.
    """
    for _ in range(TRIES):
        try:
            with store.write() as session:
                return work(session)
        except (OperationalError, IntegrityError) as problem:
            state = getattr(problem.orig, "sqlstate", None)
            if state not in AGAIN:
                raise
        time.sleep(PAUSE_S)
    with store.write() as session:
        return work(session)
