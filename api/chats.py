"""Handlers for conversations and their members.

Members may read; `_require_owner` guards what only owners and the service may do.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from api import page_size
from api.context import RequestContext, Result
from api.schemas import chats as schemas
from api.seats import SEATS_PER_TURN, in_turns
from datastore import chat_lists, chats, departures, large_chats
from models.base import utc_now
from models.chats import MEMBER, OWNER, Chat, Role
from models.errors import Forbidden

MEMBERS_SHOWN = 1000


def create(context: RequestContext, body: schemas.NewChat) -> Result[schemas.ChatOut]:
    """Create a conversation; the calling user becomes a member and its owner.

    If a conversation with this external_id exists, it stays unchanged.
    """
    owner_id: int | None
    role: Role | None
    if context.is_service:
        owner_id, role = body.owner, None
    elif body.external_id is None and body.owner is None:
        owner_id, role = context.user.id, OWNER
    else:
        # A user could claim an external id that an import is about to use.
        raise Forbidden("Only the service key may set external_id and owner.")
    _check_retention(context, body.retention_days)
    members = sorted(set(body.members) - {owner_id})
    seats = context.app.seats
    # Before the write transaction, which looks again for users deleted meanwhile.
    with context.store.read() as session:
        seats.check(session, context.caller, [*members, *_one(owner_id)])
    # At least one, so that beginning conversations is limited as well.
    seats.take(context.caller, len(members) or 1)
    if len(members) > SEATS_PER_TURN:
        return _create_large(context, body, members, owner_id, role)
    with context.store.write() as session:
        chat, is_new = chats.create(
            session,
            body.name,
            owner_id=owner_id,
            user_ids=members,
            now=utc_now(),
            external_id=body.external_id,
            retention_days=body.retention_days,
        )
        return Result(201 if is_new else 200, _chat_out(session, chat, role))


def _create_large(
    context: RequestContext,
    body: schemas.NewChat,
    members: Sequence[int],
    owner_id: int | None,
    role: Role | None,
) -> Result[schemas.ChatOut]:
    """The same in short transactions; nobody sees the conversation before the last."""
    with context.store.write() as session:
        known = large_chats.find(session, body.external_id)
        if known is not None:
            return Result(200, _chat_out(session, known, role))
        chat_id = large_chats.begin(
            session, body.name, now=utc_now(), retention_days=body.retention_days
        )
        large_chats.seat(session, chat_id, _one(owner_id), OWNER)

    def seat(part: Sequence[int]) -> None:
        with context.store.write() as session:
            large_chats.seat(session, chat_id, part, MEMBER)

    in_turns(members, seat)
    with context.store.write() as session:
        chat, is_new = large_chats.reveal(session, chat_id, body.external_id)
        return Result(201 if is_new else 200, _chat_out(session, chat, role))


def list_chats(
    context: RequestContext, query: schemas.ChatPage
) -> Result[schemas.Chats]:
    """List the caller's conversations with last message and unread count."""
    before = None
    if query.before:
        activity, _, chat_id = query.before.partition("-")
        before = (int(activity), int(chat_id))
    with context.store.read() as session:
        found = chat_lists.list_for(
            session, context.user.id, before=before, limit=query.limit + 1
        )
    page = page_size.first(
        [schemas.listed_chat_out(each) for each in found[: query.limit]]
    )
    count = len(page)
    cursor = schemas.cursor_after(found[count - 1]) if count < len(found) else None
    return Result(200, schemas.Chats(conversations=list(page), next=cursor))


def show(context: RequestContext, chat_id: int) -> Result[schemas.ChatOut]:
    """Show a conversation to its members."""
    with context.store.read() as session:
        role = _require_member(context, session, chat_id)
        return Result(200, _chat_out(session, chats.get(session, chat_id), role))


def change(
    context: RequestContext, chat_id: int, body: schemas.ChangedChat
) -> Result[schemas.ChatOut]:
    """Rename a conversation, or set how long its messages are kept.

    Only its owners and the service may do this.
    """
    changes = body.model_dump(exclude_unset=True)
    _check_retention(context, body.retention_days)
    with context.store.write() as session:
        role = _require_owner(context, session, chat_id)
        chats.change(session, chat_id, changes)
        return Result(200, _chat_out(session, chats.get(session, chat_id), role))


def remove(context: RequestContext, chat_id: int) -> Result[None]:
    """End a conversation: it is no longer visible, and its pushes stop.

    Only its owners and the service may do this.
    """
    with context.store.write() as session:
        _require_owner(context, session, chat_id)
        chats.remove(session, chat_id, utc_now())
    return Result(204)


def mute(
    context: RequestContext, chat_id: int, body: schemas.Mute
) -> Result[schemas.Muted]:
    """Stop pushes to the caller until a time, except where they are mentioned."""
    with context.store.write() as session:
        membership = chats.membership(session, chat_id, context.user.id)
        chats.mute(session, membership, body.until)
    return Result(200, schemas.Muted(muted_until=body.until))


def members(
    context: RequestContext, chat_id: int, query: schemas.MemberPage
) -> Result[schemas.Members]:
    """List the members, ordered by id."""
    with context.store.read() as session:
        _require_member(context, session, chat_id)
        found = chats.members(
            session, chat_id, after=query.after, limit=query.limit + 1
        )
    page = page_size.first(
        [schemas.MemberOut(**member._asdict()) for member in found[: query.limit]]
    )
    has_more = len(page) < len(found)
    return Result(200, schemas.Members(members=list(page), has_more=has_more))


def add_members(
    context: RequestContext, chat_id: int, body: schemas.NewMembers
) -> Result[schemas.AddedMembers]:
    """Add users to a conversation; existing members stay unchanged.

    Only its owners and the service may do this. Only the service can add a user who has
    left the conversation by themselves. A user who has muted it before finds it muted.
    """
    seats, ids = context.app.seats, sorted(set(body.user_ids))
    with context.store.read() as session:
        _require_owner(context, session, chat_id)
        seats.check(session, context.caller, ids)
        wanted = _wanted(context, session, chat_id, ids)
    seats.take(context.caller, len(wanted.ids))
    added = 0

    def add(part: Sequence[int]) -> None:
        with context.store.write() as session:
            chat = chats.get(session, chat_id, for_update=True)
            _require_owner(context, session, chat_id)
            count = len(chats.add_members(session, chat, part))
        nonlocal added
        added += count

    in_turns(wanted.ids, add)
    return Result(200, schemas.AddedMembers(added=added, refused=wanted.refused))


class _Wanted(NamedTuple):
    """The users who are to be added, and those who must not be."""

    ids: list[int]
    refused: list[schemas.RefusedMember]


def _wanted(
    context: RequestContext, session: Session, chat_id: int, ids: Sequence[int]
) -> _Wanted:
    if context.is_service:
        return _Wanted(list(ids), [])
    new = chats.strangers(session, chat_id, ids)
    left = departures.find(session, chat_id, new)
    refused = [each for each in new if each in left and left[each].by_themselves]
    return _Wanted(
        [each for each in new if each not in refused],
        [schemas.RefusedMember(user_id=each, code="left") for each in refused],
    )


def set_role(
    context: RequestContext, chat_id: int, user_id: int, body: schemas.NewRole
) -> Result[None]:
    """Make a member an owner, or an owner a member.

    Only owners and the service may do this.
    """
    with context.store.write() as session:
        chats.get(session, chat_id, for_update=True)
        _require_owner(context, session, chat_id)
        chats.set_role(session, chat_id, user_id, body.role)
    return Result(204)


def remove_member(context: RequestContext, chat_id: int, user_id: int) -> Result[None]:
    """Remove a member from a conversation, or leave it.

    Members may leave; only owners and the service may remove another member.
    """
    with context.store.write() as session:
        chats.get(session, chat_id, for_update=True)
        is_leaving = context.caller is not None and context.caller.id == user_id
        # Outsiders get NotFound, so that they cannot tell that the conversation exists.
        check = _require_member if is_leaving else _require_owner
        check(context, session, chat_id)
        chats.remove_member(
            session, chat_id, user_id, utc_now(), by_themselves=is_leaving
        )
    return Result(204)


def _one(user_id: int | None) -> list[int]:
    return [] if user_id is None else [user_id]


def _check_retention(context: RequestContext, days: int | None) -> None:
    """Raises Forbidden if a user wants to keep messages longer than the server does."""
    most = context.app.message_days
    if days and most and days > most and not context.is_service:
        raise Forbidden(f"Only the service key may keep messages for over {most} days.")


def _require_member(
    context: RequestContext, session: Session, chat_id: int
) -> Role | None:
    """The caller's role, or None for the service; raises NotFound for outsiders."""
    if context.is_service:
        chats.get(session, chat_id)
        return None
    return chats.membership(session, chat_id, context.user.id).role


def _require_owner(
    context: RequestContext, session: Session, chat_id: int
) -> Role | None:
    """The same; raises Forbidden unless the caller is an owner or the service."""
    role = _require_member(context, session, chat_id)
    if role not in (OWNER, None):
        raise Forbidden("Only an owner of the conversation may do this.")
    return role


def _chat_out(session: Session, chat: Chat, role: Role | None) -> schemas.ChatOut:
    return schemas.ChatOut(
        id=chat.id,
        external_id=chat.external_id,
        name=chat.name,
        created_at=chat.created_at,
        last_seq=chat.last_seq,
        retention_days=chat.retention_days,
        role=role,
        member_count=chats.count_members(session, chat.id),
        members=list(chats.member_ids(session, chat.id, limit=MEMBERS_SHOWN)),
    )
