"""How far a push is."""

from api.call import Answer, Call
from api.schemas.jobs import Job
from datastore import chats, jobs
from models.errors import NotFound


def show(call: Call, job_id: int) -> Answer[Job]:
    """A job's state and counts, for the members of its conversation."""
    with call.store.read() as session:
        job = jobs.status(session, job_id)
        may_see = job is not None and (
            call.is_service or chats.is_member(session, job.chat_id, call.user.id)
        )
    if not may_see:
        raise NotFound
    return Answer(200, Job.model_validate(job, from_attributes=True))
