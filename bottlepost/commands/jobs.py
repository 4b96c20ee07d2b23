"""`bottlepost jobs`: the pushes of messages."""

from typing import Any

import click

from api import job_reports
from api.job_reports import Report
from api.schemas.jobs import FailureQuery
from bottlepost import wake_ups
from bottlepost.arguments import ID, LONGEST_PAGE, checked, opened, tell_of_more
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json, confirm
from bottlepost.settings import read as read_settings
from datastore import listings
from datastore.outbox import cancellation, failed_devices, job_status
from datastore.outbox.failed_devices import FailedDevice
from models.base import utc_now
from models.errors import NotFound
from models.pushes import COMPLETED, FAILED, PROCESSING, QUEUED, PushJob

COLUMNS = (
    *("id", "state", "kind", "chat_id", "message_id", "total", "accepted", "failed"),
    *("created_at", "finished_at", "error"),
)
DEVICE_COLUMNS = tuple(each for each in FailedDevice._fields if each != "job")
limit_option = click.option(
    "--limit",
    type=click.IntRange(1, LONGEST_PAGE),
    default=50,
    show_default=True,
    help="How many to print.",
)


@click.group("jobs")
def command() -> None:
    """List push jobs, show why devices have not accepted, retry or cancel one."""


@command.command("list")
@click.option(
    "--state",
    type=click.Choice([QUEUED, PROCESSING, COMPLETED, FAILED]),
    help="Only jobs of this state.",
)
@click.option("--failing", is_flag=True, help="Only jobs with an error or a failure.")
@click.option("--before", type=ID, help="Begin before this id, the last one printed.")
@limit_option
@as_json
def show_all(
    *, state: str | None, failing: bool, before: int | None, limit: int, is_json: bool
) -> None:
    """List jobs, the newest first."""
    with opened() as store, store.read() as session:
        found = listings.jobs(
            session, before=before, limit=limit, state=state, failing=failing
        )
    Output(is_json=is_json).rows(COLUMNS, [_row(job) for job in found])
    tell_of_more(len(found), limit, found[-1].id if found else None, "--before")


@command.command()
@click.argument("job_id", metavar="ID", type=ID)
@click.option(
    "--after",
    metavar="PLACE",
    help="Begin behind this place, printed by a page before.",
)
@limit_option
@as_json
def show(*, job_id: int, after: str | None, limit: int, is_json: bool) -> None:
    """Show a job, and the reason of each device that has not accepted."""
    place = job_reports.place_of(checked(FailureQuery, {"after": after}).after)
    with opened() as store, store.read() as session:
        job = job_status.find(session, job_id)
        if job is None:
            raise NotFound("There is no such job.")
        report = job_reports.of_job(session, job, None, after=place, limit=limit)
    rows = [_device(each) for each in report.failures]
    record = {name: value for name, value in vars(job).items() if name != "shards"}
    record |= {"pending": job.pending, "notices": report.notices}
    output = Output(is_json=is_json)
    if is_json:
        outcomes = [vars(each) for each in report.outcomes]
        output.record({**record, "outcomes": outcomes, "devices": rows})
    else:
        _print(output, record, report, rows)
    if report.next_failures is not None:
        click.echo(f"… more follow: --after {report.next_failures}", err=True)


def _print(
    output: Output, record: dict[str, Any], report: Report, rows: list[dict[str, Any]]
) -> None:
    counts = [
        f"{each.platform or 'removed'}: {each.devices:,} {each.outcome}"
        for each in report.outcomes
    ]
    notices = "; ".join(report.notices) or None
    output.record({**record, "outcomes": ", ".join(counts), "notices": notices})
    if rows:
        click.echo()
        output.rows(DEVICE_COLUMNS, rows)


@command.command()
@click.argument("job_id", metavar="ID", type=ID)
@as_json
def retry(*, job_id: int, is_json: bool) -> None:
    """Push again now to the devices that have not accepted.

    Disabled devices are left out. Each of the others gets an hour at least.
    """
    settings = read_settings("jobs")
    with opened() as store:
        due, devices = failed_devices.try_again(store, job_id, utc_now())
    for each in due:
        wake_ups.send(settings, each)
    audit.command("jobs retry", job=job_id, devices=devices)
    Output(is_json=is_json).done(
        f"job {job_id}: devices that are due now: {devices:,}",
        id=job_id,
        devices=devices,
    )


@command.command()
@click.argument("job_id", metavar="ID", type=ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def cancel(*, job_id: int, yes: bool, is_json: bool) -> None:
    """End a job: nothing more of it is pushed.

    What has been pushed stays on the devices; deleting the message withdraws it.
    """
    if not yes:
        confirm(f"End job {job_id}?")
    with opened() as store:
        devices = cancellation.cancel(store, job_id)
    audit.command("jobs cancel", job=job_id, devices=devices)
    Output(is_json=is_json).done(
        f"job {job_id} has ended; devices that were left: {devices:,}",
        id=job_id,
        devices=devices,
    )


def _device(found: FailedDevice) -> dict[str, Any]:
    return {name: getattr(found, name) for name in DEVICE_COLUMNS}


def _row(job: PushJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in COLUMNS}
