"""How far a push is."""

from sqlalchemy.orm import Session

from api.context import RequestContext, Result
from api.schemas.jobs import Job, JobQuery
from datastore import chats
from datastore.outbox import job_status
from datastore.outbox.job_status import JobStatus
from models.errors import NotFound


def show(context: RequestContext, job_id: int) -> Result[Job]:
    """A job's state and counts, for the members of its conversation."""
    return Result(
        200, Job.model_validate(visible(context, job_id), from_attributes=True)
    )


def query(context: RequestContext, body: JobQuery) -> Result[Job]:
    """The same, for those who would rather post; a form is led to the job's page."""
    return show(context, body.id)


def visible(context: RequestContext, job_id: int) -> JobStatus:
    """Raises NotFound when there is no such job, or it is not the caller's to see."""
    with context.store.read() as session:
        job = job_status.find(session, job_id)
        if job is None or not (context.is_service or _may_see(context, session, job)):
            raise NotFound
    return job


def _may_see(context: RequestContext, session: Session, job: JobStatus) -> bool:
    """When somebody has read is told to their own devices, and is nobody else's."""
    user_id = context.user.id
    is_theirs = job.only_user in (None, user_id)
    return is_theirs and chats.is_member(session, job.chat_id, user_id)
