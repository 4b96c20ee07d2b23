"""How far a push is."""

from api.call import Answer, Call
from api.schemas.jobs import Job, JobQuery
from datastore import chats, jobs
from datastore.jobs import JobStatus
from models.errors import NotFound


def show(call: Call, job_id: int) -> Answer[Job]:
    """A job's state and counts, for the members of its conversation."""
    return Answer(200, Job.model_validate(visible(call, job_id), from_attributes=True))


def query(call: Call, body: JobQuery) -> Answer[Job]:
    """The same, for those who would rather post; a form is led to the job's page."""
    return show(call, body.id)


def visible(call: Call, job_id: int) -> JobStatus:
    """Raises NotFound when there is no such job, or it is not the caller's to see."""
    with call.store.read() as session:
        job = jobs.status(session, job_id)
        may_see = job is not None and (
            call.is_service or chats.is_member(session, job.chat_id, call.user.id)
        )
    if job is None or not may_see:
        raise NotFound
    return job
