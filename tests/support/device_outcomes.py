"""The outcomes of a job's pushes, device by device, read from the datastore."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update

from datastore import Datastore
from models.accounts import Device
from models.base import utc_now
from models.pushes import PushFailure, PushJob
from tests.support.wait import until


class DeviceOutcome(NamedTuple):
    """A device that has not accepted, and how that has changed it."""

    outcome: str
    reason: str
    attempts: int
    # None if the outcome is final.
    next_attempt_at: datetime | None
    is_disabled: bool
    # The reason that is stored with the device.
    noted: str | None


def of_job(store: Datastore, job_id: int) -> dict[str, DeviceOutcome]:
    """By device token, without the devices that accepted."""
    query = (
        select(PushFailure, Device)
        .join(Device, Device.id == PushFailure.device_id)
        .where(PushFailure.job_id == job_id)
    )
    with store.read() as session:
        return {
            device.token: DeviceOutcome(
                failure.outcome,
                failure.reason,
                failure.attempts,
                failure.next_attempt_at,
                device.disabled_at is not None,
                device.reason,
            )
            for failure, device in session.execute(query)
        }


def is_idle(store: Datastore, job_id: int) -> bool:
    """Whether every device has been tried and no engine holds the job."""
    with store.read() as session:
        job = session.get_one(PushJob, job_id)
        return job.fanned_out and job.lease_owner is None


def make_retries_due(store: Datastore, job_id: int) -> None:
    """Make all retries of the job due now, as if their delays had passed.

    This waits until the job is idle, because an engine that holds the job may already
    have read when the next retry is due.
    """
    until(lambda: try_make_retries_due(store, job_id), what="for the job to be idle")


def try_make_retries_due(store: Datastore, job_id: int) -> bool:
    """Make the retries due; False if an engine holds the job."""
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
    """The devices among these that get no more pushes."""
    query = select(Device.token).where(
        Device.token.in_(tokens), Device.disabled_at.is_not(None)
    )
    with store.read() as session:
        return set(session.scalars(query))
