"""What is said in conversations."""

from api.call import Answer, Call
from api.schemas import groupchat as schemas
from api.schemas.groupchat import message_out
from datastore import chats, groupchat
from models.base import utc_now


def send(call: Call, body: schemas.NewMessage) -> Answer:
    """Save a message and answer; the pushes to the members come behind the answer.

    Costs the same for 2 members and for 200,000. The same client_id again changes
    nothing and is answered like the first time.
    """
    user = call.user
    with call.store.write() as session:
        seat = chats.seat(session, body.conversation, user.id, for_update=True)
        posted = groupchat.post(session, seat, body.draft(), utc_now())
    if posted.is_new:
        call.dispatcher.dispatch(posted.job_id)
    sent = schemas.Sent(
        message=message_out(posted.message),
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
        chats.seat(session, chat_id, call.user.id)
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
    messages = [message_out(message) for message in found]
    return Answer(200, schemas.Messages(messages=messages, has_more=has_more))


def edit(
    call: Call, chat_id: int, message_id: int, body: schemas.ChangedMessage
) -> Answer:
    """Change the text of one's own message; notifications stay as they were."""
    with call.store.write() as session:
        seat = chats.seat(session, chat_id, call.user.id)
        message = groupchat.edit(session, seat, message_id, body.message, utc_now())
    return Answer(200, message_out(message))


def take_back(call: Call, chat_id: int, message_id: int) -> Answer:
    """Delete a message: its text is gone, its notifications are withdrawn."""
    with call.store.write() as session:
        seat = chats.seat(session, chat_id, call.user.id)
        job_id = groupchat.take_back(session, seat, message_id, utc_now())
    call.dispatcher.dispatch(job_id)
    return Answer(204)


def mark_read(call: Call, chat_id: int, body: schemas.Read) -> Answer:
    """Remember how far the caller has read, and tell their other devices."""
    with call.store.write() as session:
        seat = chats.seat(session, chat_id, call.user.id)
        read_seq, job_id = groupchat.mark_read(session, seat, body.seq, utc_now())
    if job_id is not None:
        call.dispatcher.dispatch(job_id)
    state = schemas.ReadState(read_seq=read_seq, unread=seat.last_seq - read_seq)
    return Answer(200, state)
