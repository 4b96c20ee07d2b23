"""Is the server alive, and can it work?"""

from api.call import Answer, Call
from api.schemas.jobs import Health
from datastore import outbox


def alive(call: Call) -> Answer[Health]:
    """The process answers."""
    return Answer(200, Health())


def ready(call: Call) -> Answer[Health]:
    """The database answers, too, and has its tables."""
    with call.store.read() as session:
        outbox.next_due_at(session)
    return Answer(200, Health())
