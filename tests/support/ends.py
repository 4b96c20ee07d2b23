"""How the pushes of a job ended, device by device, as the datastore has it."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update

from datastore import Datastore
from models.accounts import Device
from models.base import utc_now
from models.pushes import PushFailure, PushJob
from tests.support.wait import until


class End(NamedTuple):
    """A device that has not accepted, and what that has done to it."""

    outcome: str
    reason: str
    attempts: int
    # None: this is how it ended.
    next_attempt_at: datetime | None
    is_disabled: bool
    # What the device itself remembers.
    noted: str | None


def of_job(store: Datastore, job_id: int) -> dict[str, End]:
    """By device token; a device that accepted has none."""
    query = (
        select(PushFailure, Device)
        .join(Device, Device.id == PushFailure.device_id)
        .where(PushFailure.job_id == job_id)
    )
    with store.read() as session:
        return {
            device.token: End(
                failure.outcome,
                failure.reason,
                failure.attempts,
                failure.next_attempt_at,
                device.disabled_at is not None,
                device.reason,
            )
            for failure, device in session.execute(query)
        }


def is_resting(store: Datastore, job_id: int) -> bool:
    """Whether every device has been tried and nobody works on the job."""
    with store.read() as session:
        job = session.get_one(PushJob, job_id)
        return job.fanned_out and job.lease_owner is None


def let_time_pass(store: Datastore, job_id: int) -> None:
    """What waits for another try is due now, as if the clock had gone on.

    Whoever works on the job may have noted already when it is to be looked at again,
    so nothing is changed before it rests.
    """
    until(lambda: has_let_time_pass(store, job_id), what="for the job to rest")


def has_let_time_pass(store: Datastore, job_id: int) -> bool:
    """The same now; False when somebody works on the job."""
    now = utc_now()
    with store.write() as session:
        job = session.get_one(PushJob, job_id, with_for_update=True)
        if job.finished_at is not None:
            return True
        if job.lease_owner is not None:
            return False
        session.execute(
            update(PushFailure)
            .where(
                PushFailure.job_id == job_id, PushFailure.next_attempt_at.is_not(None)
            )
            .values(next_attempt_at=now)
        )
        job.due_at = now
    return True


def disabled(store: Datastore, tokens: set[str]) -> set[str]:
    """Those of the devices that get no more pushes."""
    query = select(Device.token).where(
        Device.token.in_(tokens), Device.disabled_at.is_not(None)
    )
    with store.read() as session:
        return set(session.scalars(query))
