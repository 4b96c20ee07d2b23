"""Handlers for the deletion of users."""

import time
from contextlib import suppress

from api.context import RequestContext, Result
from api.schemas.deletions import DeletedUser, Deletion, StartedDeletion
from api.schemas.messages import JobLink
from datastore import OUTAGES, deletions
from models.base import utc_now

# How long a request goes on with the deletion, which is enough for most users.
REQUEST_S = 0.2
# The wake-up is for the withdrawals of any message.
ANY_JOB = 0


def delete_user(
    context: RequestContext, user_id: int, query: DeletedUser
) -> Result[StartedDeletion]:
    """Delete a user: tokens, name, picture and external_id at once, the rest soon.

    Devices, memberships and messages go after the response; with `texts=keep`, the
    messages stay under the name "Deleted user". The same request again shows the same
    deletion.
    """
    with context.store.write() as session:
        deletion = deletions.begin(
            session, user_id, keep_texts=query.texts == "keep", now=utc_now()
        )
    ends_at = time.monotonic() + REQUEST_S
    # What is left is done by a watchdog.
    with suppress(*OUTAGES):
        while time.monotonic() < ends_at:
            if not deletions.go_on(context.store, with_files=False):
                break
    context.dispatcher.dispatch(ANY_JOB)
    link = JobLink(id=deletion.id, url=f"/deletions/{deletion.id}")
    return Result(202, StartedDeletion(deletion=link))


def show(context: RequestContext, deletion_id: int) -> Result[Deletion]:
    """Show the progress of the deletion of a user."""
    with context.store.read() as session:
        found = deletions.find(session, deletion_id)
    return Result(
        200,
        Deletion(
            id=found.id,
            user_id=found.user_id,
            state=found.state,  # type: ignore[arg-type]
            texts="keep" if found.keep_texts else "erase",
            tokens=found.tokens,
            devices=found.devices,
            memberships=found.memberships,
            messages=found.messages,
            created_at=found.created_at,
            finished_at=found.finished_at,
            error=found.error,
        ),
    )
