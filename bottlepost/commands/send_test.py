"""`bottlepost send-test`: a real push to each device of a user."""

import time
from typing import Any

import click

from bottlepost import wake_ups
from bottlepost.arguments import opened, user_argument, user_id
from bottlepost.printed import Output, as_json, progress
from bottlepost.settings import read as read_settings
from config import Settings
from datastore import Datastore, accounts, sample_push
from datastore.outbox import failed_devices, job_status
from datastore.outbox.job_status import JobStatus
from models.base import utc_now

LOOK_EVERY_S = 0.2
WAIT_S = 60.0
COLUMNS = ("device", "platform", "outcome", "reason")
ACCEPTED = "accepted"
# No engine has taken the job, or it has not answered yet.
NONE_YET = "none yet"


@click.command("send-test")
@user_argument
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    default=WAIT_S,
    show_default=True,
    help="For how many seconds to wait for the outcomes.",
)
@as_json
def command(*, user: str, wait_s: float, is_json: bool) -> None:
    """Push a test message to all devices of USER, and print each device's outcome.

    It arrives in a conversation with "Bottlepost". The running server or workers push
    it, with their settings. Status 1: a device has not accepted in time.
    """
    settings = read_settings("send-test")
    with opened() as store:
        rows, hint = push(store, settings, user, wait_s)
    Output(is_json=is_json).rows(COLUMNS, rows)
    if hint:
        click.echo(hint, err=True)
    if any(row["outcome"] != ACCEPTED for row in rows):
        raise SystemExit(1)


def push(
    store: Datastore, settings: Settings, user: str, wait_s: float
) -> tuple[list[dict[str, Any]], str | None]:
    """The outcome of each device, and what to say about it."""
    with store.write() as session:
        number = user_id(session, user)
        devices = [
            device
            for device in accounts.list_devices(session, number)
            if device.disabled_at is None
        ]
        if not devices:
            return [], "the user has no device that pushes go to"
        job_id = sample_push.send(session, number, utc_now())
    wake_ups.send(settings, job_id)
    job = _wait(store, job_id, wait_s)
    with store.read() as session:
        failed = {
            each.device: each
            for each in failed_devices.of_jobs(session, [job_id], limit=len(devices))
        }
    is_done = job is not None and job.total is not None
    rows = []
    for device in devices:
        failure = failed.get(device.id)
        outcome = failure.outcome if failure else ACCEPTED if is_done else NONE_YET
        reason = failure.reason if failure else None
        values = device.id, device.platform, outcome, reason
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows, _hint(job, job_id)


def _wait(store: Datastore, job_id: int, wait_s: float) -> JobStatus | None:
    """The job when each device has had its first outcome, or when the time is over."""
    ends_at = time.monotonic() + wait_s
    with progress("waiting for the devices", None):
        while True:
            with store.read() as session:
                job = job_status.find(session, job_id)
                is_idle = job_status.is_idle(session, job_id)
            is_tried = job is not None and job.started_at is not None and is_idle
            if is_tried or time.monotonic() >= ends_at:
                return job
            time.sleep(LOOK_EVERY_S)


def _hint(job: JobStatus | None, job_id: int) -> str | None:
    if job is None or job.started_at is None:
        return (
            f"job {job_id} has not been taken: is a server or worker running with"
            " this database?"
        )
    if job.finished_at is None:
        return f"job {job_id} goes on: bottlepost jobs show {job_id}"
    return None
