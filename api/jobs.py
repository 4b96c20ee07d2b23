"""Handlers that show the progress of a push."""

from sqlalchemy.orm import Session

from api import job_reports
from api.context import RequestContext, Result
from api.schemas.jobs import FailureQuery, Job, JobQuery
from datastore import chats
from datastore.outbox import job_status
from datastore.outbox.failed_devices import Place
from datastore.outbox.job_status import JobStatus
from models.errors import NotFound


def show(context: RequestContext, job_id: int, query: FailureQuery) -> Result[Job]:
    """Show a job's state and counts to the members of its conversation.

    A provider's reasons are for the service and for the owner of the device.
    """
    after = job_reports.place_of(query.after)
    job, report = find_with_report(context, job_id, after=after)
    values = {
        name: getattr(job, name) for name in Job.model_fields if hasattr(job, name)
    }
    return Result(200, Job.model_validate(values | vars(report), from_attributes=True))


def query(context: RequestContext, body: JobQuery) -> Result[Job]:
    """Show a job like GET /jobs/{job_id}; a form is redirected to the job's page."""
    return show(context, body.id, FailureQuery())


def find_with_report(
    context: RequestContext, job_id: int, *, after: Place | None = None
) -> tuple[JobStatus, job_reports.Report]:
    """The job as the caller may see it; raises NotFound if there is none."""
    with context.store.read() as session:
        job = job_status.find(session, job_id)
        if job is None or not (context.is_service or _may_see(context, session, job)):
            raise NotFound
        owner = None if context.is_service else context.user.id
        report = job_reports.of_job(session, job, owner, after=after)
    return job if context.is_service else job.for_members(), report


def _may_see(context: RequestContext, session: Session, job: JobStatus) -> bool:
    """Members see the jobs of a chat; a job for one user is visible only to them."""
    user_id = context.user.id
    is_theirs = job.only_user in (None, user_id)
    return is_theirs and chats.is_member(session, job.chat_id, user_id)
