"""Conversations and who is in them."""

from sqlalchemy.orm import Session

from api.call import Answer, Call
from api.schemas import groupchat as schemas
from datastore import accounts, groupchat
from models.base import utc_now
from models.errors import Forbidden
from models.groupchat import OWNER, Chat

MEMBERS_SHOWN = 1000


def create(call: Call, body: schemas.NewChat) -> Answer:
    """Start a conversation; its creator is a member and its owner."""
    user_id = call.user.id
    # Users are never removed, so they can be checked before the writers' turn.
    with call.store.read() as session:
        accounts.check_users(session, sorted(set(body.members)))
    with call.store.write() as session:
        chat = groupchat.create(
            session,
            body.name,
            owner_id=user_id,
            user_ids=body.members,
            now=utc_now(),
        )
        return Answer(201, _chat_out(session, chat, role=OWNER))


def show(call: Call, chat_id: int) -> Answer:
    """A conversation, for its members."""
    with call.store.read() as session:
        role = _role(call, session, chat_id)
        return Answer(200, _chat_out(session, groupchat.get(session, chat_id), role))


def members(call: Call, chat_id: int, query: schemas.MemberPage) -> Answer:
    """The ids of the members, in order."""
    with call.store.read() as session:
        _role(call, session, chat_id)
        found = groupchat.member_ids(
            session, chat_id, after=query.after, limit=query.limit + 1
        )
    page = schemas.Members(
        members=list(found[: query.limit]), has_more=len(found) > query.limit
    )
    return Answer(200, page)


def add_members(call: Call, chat_id: int, body: schemas.NewMembers) -> Answer:
    """Seat users in a conversation; those who are in it already stay as they are."""
    with call.store.read() as session:
        _may_manage(call, session, chat_id)
        accounts.check_users(session, sorted(set(body.user_ids)))
    with call.store.write() as session:
        chat = groupchat.get(session, chat_id, for_update=True)
        _may_manage(call, session, chat_id)
        added = groupchat.add_members(session, chat, body.user_ids)
    return Answer(200, schemas.AddedMembers(added=len(added)))


def remove_member(call: Call, chat_id: int, user_id: int) -> Answer:
    """Take a user out of a conversation, or leave it oneself."""
    with call.store.write() as session:
        groupchat.get(session, chat_id, for_update=True)
        if call.is_service or call.user.id != user_id:
            _may_manage(call, session, chat_id)
        groupchat.remove_member(session, chat_id, user_id)
    return Answer(204)


def _role(call: Call, session: Session, chat_id: int) -> str | None:
    """The caller's role; None is the service. Raises NotFound for outsiders."""
    if call.is_service:
        groupchat.get(session, chat_id)
        return None
    return groupchat.seat(session, chat_id, call.user.id).role


def _may_manage(call: Call, session: Session, chat_id: int) -> None:
    if _role(call, session, chat_id) not in (OWNER, None):
        raise Forbidden("Only an owner of the conversation may do this.")


def _chat_out(session: Session, chat: Chat, role: str | None) -> schemas.ChatOut:
    return schemas.ChatOut(
        id=chat.id,
        name=chat.name,
        created_at=chat.created_at,
        last_seq=chat.last_seq,
        role=role,
        member_count=groupchat.count_members(session, chat.id),
        members=list(groupchat.member_ids(session, chat.id, limit=MEMBERS_SHOWN)),
    )
