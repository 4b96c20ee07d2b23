"""Looking at the outbox from outside the engine: is work due, and who died over it?"""

import logging
from datetime import datetime

from datastore import Datastore
from datastore.outbox import due_work
from models.base import utc_now
from notifier.process.slots import Slot, Slots

log = logging.getLogger(__name__)


def next_due_at(store: Datastore) -> datetime | None:
    """When the next job can be claimed; in the past if one can be now."""
    with store.read() as session:
        return due_work.next_due(session).next_at


def is_work_due(store: Datastore) -> bool:
    due_at = next_due_at(store)
    return due_at is not None and due_at <= utc_now()


def free_jobs(store: Datastore, slot: Slot) -> None:
    """Make the jobs of the process that died in a slot due now, not after its lease."""
    owner = slot.owner
    if owner is None:
        return
    with store.write() as session:
        jobs = due_work.release_owner(session, owner, utc_now())
    slot.clear()
    log.warning("PushProcess %s died; %d jobs are due again", owner, jobs)


def free_abandoned_jobs(store: Datastore, slots: Slots) -> None:
    """The same for every slot that nobody owns any more."""
    for slot in slots.abandoned():
        free_jobs(store, slot)
