"""Conversations and what is said in them."""

from api.call import Answer, Call
from api.schemas import groupchat as schemas
from datastore import groupchat
from models.base import utc_now

# Four weeks: the longest that Google keeps a message for a phone that is off.
TTL_S = 28 * 24 * 3600


def send(call: Call, body: schemas.NewMessage) -> Answer:
    """Save a message and answer; the pushes to the members come behind the answer.

    Costs the same for 2 members and for 200,000. The same client_id again changes
    nothing and is answered like the first time.
    """
    user = call.user
    with call.store.write() as session:
        seat = groupchat.seat(session, body.conversation, user.id, for_update=True)
        posted = groupchat.post(
            session,
            seat,
            text=body.message,
            client_id=body.client_id,
            ttl_s=TTL_S,
            now=utc_now(),
        )
    if posted.is_new:
        call.dispatcher.dispatch(posted.job_id)
    sent = schemas.Sent(
        message=schemas.message_out(posted.message),
        conversation=schemas.Conversation(
            id=seat.chat_id,
            name=seat.chat_name,
            created_at=seat.created_at,
            last_seq=max(seat.last_seq, posted.message.seq),
        ),
        job=schemas.JobLink(id=posted.job_id, url=f"/jobs/{posted.job_id}"),
    )
    return Answer(201 if posted.is_new else 200, sent)


def history(call: Call, chat_id: int, query: schemas.MessagePage) -> Answer:
    """A conversation's messages, by number: after one, before one, or the last."""
    with call.store.read() as session:
        groupchat.seat(session, chat_id, call.user.id)
        found = groupchat.history(
            session,
            chat_id,
            after=query.after,
            before=query.before,
            limit=query.limit + 1,
        )
    has_more = len(found) > query.limit
    if has_more:
        # The one too many is the newest when we read forward, else the oldest.
        found = found[:-1] if query.after is not None else found[1:]
    messages = [schemas.message_out(message) for message in found]
    return Answer(200, schemas.Messages(messages=messages, has_more=has_more))
