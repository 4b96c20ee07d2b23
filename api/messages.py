"""Handlers for messages."""

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from api import looks, page_size
from api.context import RequestContext, Result
from api.schemas import messages as schemas
from api.schemas.messages import message_out
from datastore import chats, messages, sends, unread
from datastore.messages import Written
from datastore.senders import NO_SENDER, Sender
from models.base import utc_now
from models.errors import Forbidden, Invalid

# The limits of long polls count the service as a user with this id, which is unused.
NOBODY = 0
# How long a request goes on deleting.
ERASE_S = 0.5


def send(context: RequestContext, body: schemas.NewMessage) -> Result[schemas.Sent]:
    """Save a message and answer; the members get their pushes after the response.

    Costs the same for 2 members and for 200,000. The same client_id again changes
    nothing, and the response is the same as the first time. The service names the
    sender, who must be a member, or sends a message of the system, which has none.
    """
    sender_id, admit = _sender(context, body)
    changes = looks.check(
        context, body.kind, body.notification, has_mentions=bool(body.mentions)
    )
    draft = body.draft(changes, context.origin)
    store, chat_id = context.store, body.conversation
    if sender_id is None:
        membership, posted = sends.send_as_system(store, chat_id, draft)
        sender = NO_SENDER
    else:
        membership, posted = sends.send(store, chat_id, sender_id, draft, admit)
        sender = Sender(membership.user_id, membership.user_name)
    if posted.is_new:
        context.dispatcher.dispatch(posted.job_id)
        context.app.long_poll.notify(membership.chat_id)
    sent = schemas.Sent(
        message=message_out(posted.message, sender),
        conversation=schemas.Conversation(
            id=membership.chat_id,
            name=membership.chat_name,
            created_at=membership.created_at,
            last_seq=posted.message.seq,
        ),
        job=schemas.JobLink(
            id=posted.job_id, url=f"{context.prefix}/jobs/{posted.job_id}"
        ),
    )
    return Result(201 if posted.is_new else 200, sent)


def _sender(
    context: RequestContext, body: schemas.NewMessage
) -> tuple[int | None, Callable[[int], None] | None]:
    """The sender, and the limit that the conversation has for them, if any.

    Raises TooMany, or Forbidden if a user names a sender.
    """
    if context.is_service:
        if (body.sender is None) is not body.system:
            found = "the service must name the sender, or set system to true"
            problem = {"field": "sender", "problem": found}
            raise Invalid(f"sender: {found}", problems=[problem])
        return body.sender, None
    user, limits = context.user, context.app.limits
    for field in ("sender", "system"):
        if getattr(body, field):
            raise Forbidden("Only the service key may name a sender.", field=field)
    limits.user.take(user.id)
    return user.id, limits.chat.take if limits.chat.is_limiting else None


def history(
    context: RequestContext, chat_id: int, query: schemas.MessagePage
) -> Result[schemas.Messages]:
    """List a conversation's messages: after a number, before a number, or the newest.

    With `after` and `wait` this is a long poll: an empty page is delayed until a
    message arrives, for up to `wait` seconds. It comes at once if too many requests of
    the caller, of the caller's address, or of all users, are waiting already. A page
    may have fewer messages than `limit` if they are long; `has_more` tells.
    """
    wait_s = query.wait if query.after is not None and context.may_wait else 0
    caller_id = NOBODY if context.caller is None else context.caller.id
    waiting = context.app.long_poll.listen(chat_id, caller_id, context.address, wait_s)
    with waiting as listener:
        found = _read_page(context, chat_id, query)
        while not found and listener.wait(context.released):
            # The token may have been revoked, or have expired, meanwhile.
            context.check_caller()
            found = _read_page(context, chat_id, query)
    # The extra message is the newest if we read forward, else the oldest.
    is_forward = query.after is not None
    page = [message_out(*each) for each in found]
    page = page[: query.limit] if is_forward else page[-query.limit :]
    fitting = page_size.first(page) if is_forward else page_size.last(page)
    has_more = len(fitting) < len(found)
    return Result(200, schemas.Messages(messages=list(fitting), has_more=has_more))


def _read_page(
    context: RequestContext, chat_id: int, query: schemas.MessagePage
) -> list[Written]:
    """The page and one more message; raises NotFound for outsiders."""
    with context.store.read() as session:
        if context.is_service:
            chats.get(session, chat_id)
        else:
            chats.membership(session, chat_id, context.user.id)
        return messages.history(
            session,
            chat_id,
            after=query.after,
            before=query.before,
            limit=query.limit + 1,
        )


def edit(
    context: RequestContext, chat_id: int, message_id: int, body: schemas.ChangedMessage
) -> Result[schemas.MessageOut]:
    """Edit a message of the caller; notifications already shown stay unchanged."""
    user = context.user
    with context.store.write() as session:
        membership = chats.membership(session, chat_id, user.id)
        message = messages.edit(
            session, membership, message_id, body.message, utc_now()
        )
    return Result(200, message_out(message, Sender(user.id, user.name)))


def delete(context: RequestContext, chat_id: int, message_id: int) -> Result[None]:
    """Delete a message: its text is erased, its notifications are withdrawn.

    Its sender, owners of the conversation and the service may do this.
    """
    now = utc_now()
    with context.store.write() as session:
        origin = context.origin
        if context.is_service:
            chats.get(session, chat_id, for_update=True)
            job_id = messages.moderate(session, chat_id, message_id, now, origin)
        else:
            user_id = context.user.id
            membership = chats.membership(session, chat_id, user_id, for_update=True)
            job_id = messages.delete(session, membership, message_id, now, origin)
    context.dispatcher.dispatch(job_id)
    return Result(204)


def erase(
    context: RequestContext, chat_id: int, query: schemas.Erased
) -> Result[schemas.ErasedMessages]:
    """Delete all messages of a conversation, or those of one user.

    A request deletes a part of them: ask again with `after` while there are more. The
    notifications of the last 24 hours are withdrawn.
    """
    deleted, last = 0, query.after
    has_more, jobs = True, list[int]()
    ends_at = time.monotonic() + ERASE_S
    while has_more and time.monotonic() < ends_at:
        with context.store.write() as session:
            chats.get(session, chat_id, for_update=True)
            part = messages.erase_some(
                session, chat_id, sender_id=query.sender, after=last, now=utc_now()
            )
        deleted, jobs = deleted + part.deleted, jobs + part.jobs
        has_more, last = part.has_more, part.last_seq
    for job_id in jobs[:1]:
        context.dispatcher.dispatch(job_id)
    erased = schemas.ErasedMessages(deleted=deleted, last_seq=last, has_more=has_more)
    return Result(200, erased)


def mark_read(
    context: RequestContext, chat_id: int, body: schemas.Read
) -> Result[schemas.ReadState]:
    """Set how far the caller has read, and tell the caller's other devices."""

    user_id = context.user.id

    def mark(session: Session) -> tuple[schemas.ReadState, int | None]:
        membership = chats.membership(session, chat_id, user_id)
        read_seq, job_id = messages.mark_read(
            session, membership, body.seq, utc_now(), context.origin
        )
        left = unread.of_member(session, chat_id, user_id)
        return schemas.ReadState(read_seq=read_seq, unread=left), job_id

    state, job_id = context.store.write_grouped(mark)
    if job_id is not None:
        context.dispatcher.dispatch(job_id)
    return Result(200, state)
