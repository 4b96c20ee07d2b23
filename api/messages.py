"""Handlers for messages."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from api import looks, page_size
from api.context import RequestContext, Result
from api.schemas import messages as schemas
from api.schemas.messages import message_out
from datastore import chats, messages, sends, unread
from models.base import utc_now
from models.chats import Message
from models.errors import Forbidden, Invalid


def send(context: RequestContext, body: schemas.NewMessage) -> Result[schemas.Sent]:
    """Save a message and answer; the members get their pushes after the response.

    Costs the same for 2 members and for 200,000. The same client_id again changes
    nothing, and the response is the same as the first time. The service names the
    sender, who must be a member.
    """
    sender_id, admit = _sender(context, body)
    draft = body.draft(
        looks.check(context, body.kind, body.notification), context.origin
    )
    membership, posted = sends.send(
        context.store, body.conversation, sender_id, draft, admit
    )
    if posted.is_new:
        context.dispatcher.dispatch(posted.job_id)
        context.app.long_poll.notify(membership.chat_id)
    sent = schemas.Sent(
        message=message_out(posted.message),
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
) -> tuple[int, Callable[[int], None] | None]:
    """The sender, and the limit that the conversation has for them, if any.

    Raises TooMany, or Forbidden if a user names a sender.
    """
    if context.is_service:
        if body.sender is None:
            problem = {"field": "sender", "problem": "the service must name the sender"}
            raise Invalid(
                "sender: the service must name the sender", problems=[problem]
            )
        return body.sender, None
    user, limits = context.user, context.app.limits
    if body.sender is not None:
        raise Forbidden("Only the service key may name a sender.", field="sender")
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
    waiting = context.app.long_poll.listen(
        chat_id, context.user.id, context.address, wait_s
    )
    with waiting as listener:
        found = _read_page(context, chat_id, query)
        while not found and listener.wait(context.released):
            # The token may have been revoked, or have expired, meanwhile.
            context.check_caller()
            found = _read_page(context, chat_id, query)
    # The extra message is the newest if we read forward, else the oldest.
    is_forward = query.after is not None
    page = [message_out(message) for message in found]
    page = page[: query.limit] if is_forward else page[-query.limit :]
    fitting = page_size.first(page) if is_forward else page_size.last(page)
    has_more = len(fitting) < len(found)
    return Result(200, schemas.Messages(messages=list(fitting), has_more=has_more))


def _read_page(
    context: RequestContext, chat_id: int, query: schemas.MessagePage
) -> list[Message]:
    """The page and one more message; raises NotFound unless the caller is a member."""
    with context.store.read() as session:
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
    with context.store.write() as session:
        membership = chats.membership(session, chat_id, context.user.id)
        message = messages.edit(
            session, membership, message_id, body.message, utc_now()
        )
    return Result(200, message_out(message))


def delete(context: RequestContext, chat_id: int, message_id: int) -> Result[None]:
    """Delete a message: its text is erased, its notifications are withdrawn."""
    with context.store.write() as session:
        membership = chats.membership(
            session, chat_id, context.user.id, for_update=True
        )
        job_id = messages.delete(
            session, membership, message_id, utc_now(), context.origin
        )
    context.dispatcher.dispatch(job_id)
    return Result(204)


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
