"""`python -m notifier prune`: deletes ended jobs, so that they do not pile up."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from config import Settings
from datastore import Datastore, retention
from models.base import utc_now

# Small transactions with pauses between them, so that senders hardly notice.
BATCH = 500
PAUSE_S = 0.05

Forget = Callable[[Session, datetime, int], int]


def run(settings: Settings, *, days: int) -> tuple[int, int]:
    """Delete the push jobs and the imports that ended `days` ago; returns their counts.

    It may be stopped at any moment and run beside everything else. Raises the
    database's errors.
    """
    before = utc_now() - timedelta(days=days)
    store = Datastore(settings.database_url)
    try:
        pushes = _all(store, retention.forget_pushes, before)
        return pushes, _all(store, retention.forget_imports, before)
    finally:
        store.close()


def _all(store: Datastore, forget: Forget, before: datetime) -> int:
    count = 0
    while True:
        with store.write() as session:
            forgotten = forget(session, before, BATCH)
        count += forgotten
        if forgotten < BATCH:
            return count
        time.sleep(PAUSE_S)
