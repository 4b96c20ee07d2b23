"""Client ids: a message that its sender posts again is found, and not stored again.

They have a table of their own, so that they may be forgotten earlier or later than
messages and jobs, and a send without one writes nothing there. `message.client_id` is
written, too: processes from before migration 0005 know no other place, and its
constraint guards against those that store the same id at the same moment.
"""

from sqlalchemy import and_, bindparam, insert, select, update
from sqlalchemy.orm import Session

from datastore.chats import Membership
from datastore.posts import Draft, NewMessage, Posted
from datastore.prepared import Link, Prepared, link_of
from models.chats import ClientId, Message
from models.errors import ClientIdUsed
from models.pushes import MESSAGE, PushJob

_STORE = Prepared(insert(ClientId))
_FIND = Prepared(
    select(
        ClientId.message_id,
        ClientId.job_id,
        ClientId.seq,
        ClientId.created_at,
        ClientId.digest,
    ).where(
        ClientId.chat_id == bindparam("chat"),
        ClientId.sender_id == bindparam("user"),
        ClientId.client_id == bindparam("client_id"),
    )
)
_FIND_MESSAGE = Prepared(
    select(Message.id).where(
        Message.chat_id == bindparam("chat"),
        Message.sender_id == bindparam("user"),
        Message.client_id == bindparam("client_id"),
    )
)


def remember(link: Link, message: NewMessage, job_id: int, draft: Draft) -> None:
    """Store the id of a message that has just been stored."""
    values = {
        "chat_id": message.chat_id,
        "sender_id": message.sender_id,
        "client_id": message.client_id,
        "message_id": message.id,
        "job_id": job_id,
        "seq": message.seq,
        "digest": draft.digest(),
        "created_at": message.created_at,
    }
    _STORE.count(link, values)


def first_post(session: Session, membership: Membership, draft: Draft) -> Posted | None:
    """The message that the member has posted with this client id, if there is one.

    The membership must have been read for update. Raises ClientIdUsed if the sender
    gave something else then.
    """
    link = link_of(session)
    place = {
        "chat": membership.chat_id,
        "user": membership.user_id,
        "client_id": draft.client_id,
    }
    if (row := _FIND.first(link, place)) is None:
        found = _FIND_MESSAGE.first(link, place)
        return None if found is None else _known_to_message(session, found[0], draft)
    message_id, job_id, seq, created_at, digest = row
    if digest != draft.digest():
        raise ClientIdUsed(field="client_id", message_id=message_id)
    message: Message | NewMessage | None = session.get(Message, message_id)
    if message is None:
        # It was pruned; its sender has just told us again what it was.
        message = NewMessage(
            id=message_id,
            chat_id=membership.chat_id,
            seq=seq,
            sender_id=membership.user_id,
            created_at=created_at,
            **draft.columns(),
        )
    return Posted(message, job_id, is_new=False)


def _known_to_message(session: Session, message_id: int, draft: Draft) -> Posted | None:
    """The message of an id that a process from before migration 0005 has stored."""
    is_its_job = and_(
        PushJob.message_id == Message.id,
        PushJob.kind == MESSAGE,
        PushJob.parent_id.is_(None),
    )
    message, job_id = session.execute(
        select(Message, PushJob.id)
        .outerjoin(PushJob, is_its_job)
        .where(Message.id == message_id)
    ).one()
    if job_id is None:
        # The job was pruned, and the answer would have to name it.
        of_message = update(Message).where(Message.id == message_id)
        session.execute(of_message.values(client_id=None))
        return None
    if not _may_be_first(message, draft):
        raise ClientIdUsed(field="client_id", message_id=message_id)
    return Posted(message, job_id, is_new=False)


def _may_be_first(message: Message, draft: Draft) -> bool:
    """Whether it may have been posted like this, as far as it still tells."""
    if message.edited_at or message.deleted_at:
        return True
    given = draft.columns()
    return all(getattr(message, name) == value for name, value in given.items())
