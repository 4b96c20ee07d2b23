"""Conversations and their members."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from datastore import departures, unread
from datastore.accounts import check_users, get_or_create, in_slices
from datastore.departures import Left
from datastore.prepared import Link, Prepared, link_of
from models.accounts import User
from models.base import utc_now
from models.chats import MEMBER, OWNER, Chat, Member, Role
from models.errors import Conflict, NotFound

NOT_YOURS = "There is no such conversation, or you are not a member."
ENDED = "The conversation of this external id has been ended."
NOT_A_MEMBER = "This user is not a member of the conversation."
NO_MUTES: Mapping[int, datetime | None] = {}


class Membership(NamedTuple):
    """A member of a chat, with the state of the chat at the time of reading."""

    chat_id: int
    chat_name: str
    created_at: datetime
    last_seq: int
    # The job that the next message waits for, if it has not let it pass yet.
    last_job_id: int | None
    user_id: int
    role: Role
    read_seq: int
    muted_until: datetime | None
    # Lists of a user's own conversations do not repeat it.
    user_name: str = ""


class ListedMember(NamedTuple):
    """A member as the others see them."""

    id: int
    name: str
    avatar_url: str | None
    role: Role
    read_seq: int


MEMBERSHIP_COLUMNS = (
    Chat.id,
    Chat.name,
    Chat.created_at,
    Chat.last_seq,
    Chat.last_job_id,
    Member.user_id,
    Member.role,
    Member.read_seq,
    Member.muted_until,
)


def select_membership() -> Select[*tuple[Any, ...]]:
    """The columns of `Membership`, of a user in a chat."""
    return (
        select(*MEMBERSHIP_COLUMNS, User.name.label("user_name"))
        .join(Member, Member.chat_id == Chat.id)
        .join(User, User.id == Member.user_id)
        .where(
            Chat.id == bindparam("chat"),
            Chat.deleted_at.is_(None),
            Member.user_id == bindparam("user"),
        )
    )


# A row that is inserted locks the key of its chat. If a post excluded that, it and a
# reading of the same member could wait for each other.
_MEMBERSHIP_FOR_UPDATE = Prepared(
    select_membership().with_for_update(of=Chat, key_share=True)
)
_MEMBERSHIP = Prepared(select_membership())
# Both rows that a post changes.
MEMBERSHIP_LOCKED = Prepared(
    select_membership().with_for_update(of=(Chat, Member), key_share=True)
)


def create(
    session: Session,
    name: str,
    *,
    owner_id: int | None,
    user_ids: Sequence[int],
    now: datetime,
    external_id: str | None = None,
    retention_days: int | None = None,
) -> tuple[Chat, bool]:
    """A chat with its owner and members, who must exist; and whether it is new.

    A chat that has this external id already is returned unchanged.
    """
    new = Chat(
        name=name,
        external_id=external_id,
        last_seq=0,
        retention_days=retention_days,
        created_at=now,
    )
    chat, is_new = get_or_create(session, new)
    if chat.deleted_at is not None:
        raise Conflict(ENDED)
    if not is_new:
        return chat, False
    owners = [] if owner_id is None else [owner_id]
    insert_members(session, chat, owners, OWNER)
    insert_members(session, chat, sorted(set(user_ids) - set(owners)), MEMBER)
    return chat, True


def get(session: Session, chat_id: int, *, for_update: bool = False) -> Chat:
    """Raises NotFound when there is no such chat."""
    query = select(Chat).where(Chat.id == chat_id, Chat.deleted_at.is_(None))
    chat = session.scalar(
        query.with_for_update(key_share=True) if for_update else query
    )
    if chat is None:
        raise NotFound(NOT_YOURS)
    return chat


def membership(
    session: Session, chat_id: int, user_id: int, *, for_update: bool = False
) -> Membership:
    """Raises NotFound when there is no such chat or the user is not in it."""
    query = _MEMBERSHIP_FOR_UPDATE if for_update else _MEMBERSHIP
    row = query.first(link_of(session), {"chat": chat_id, "user": user_id})
    if row is None:
        raise NotFound(NOT_YOURS)
    return Membership(*row)


def is_member(session: Session, chat_id: int, user_id: int) -> bool:
    """False for a deleted chat."""
    query = (
        select(Member.user_id)
        .join(Chat, Chat.id == Member.chat_id)
        .where(
            Member.chat_id == chat_id,
            Member.user_id == user_id,
            Chat.deleted_at.is_(None),
        )
    )
    return session.scalar(query) is not None


def change(session: Session, chat_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of the chat, by name."""
    session.execute(update(Chat).where(Chat.id == chat_id).values(values))


def remove(session: Session, chat_id: int, now: datetime) -> None:
    """Delete the chat: it is no longer shown, and its messages are no longer pushed."""
    session.execute(update(Chat).where(Chat.id == chat_id).values(deleted_at=now))


def mute(session: Session, membership: Membership, until: datetime | None) -> None:
    """Mute until then; None ends it.

    The end is stored as a time, because a message that was muted is not withdrawn from
    a browser, which has not shown it (`outbox/audience.py`).
    """
    now = utc_now()
    ended = case((Member.muted_until > now, now), else_=Member.muted_until)
    session.execute(
        update(Member)
        .where(
            Member.chat_id == membership.chat_id, Member.user_id == membership.user_id
        )
        .values(muted_until=until or ended)
        .execution_options(synchronize_session=False)
    )


def add_members(session: Session, chat: Chat, user_ids: Sequence[int]) -> list[int]:
    """Add the users who are not in the chat yet; returns these.

    A mute from before they left is theirs again. The users must exist, and the chat
    must have been read for update.
    """
    new: list[int] = []
    for ids in in_slices(sorted(set(user_ids))):
        added = strangers(session, chat.id, ids)
        left = departures.find(session, chat.id, added)
        mutes = {user_id: each.muted_until for user_id, each in left.items()}
        insert_members(session, chat, added, MEMBER, mutes)
        departures.forget(session, chat.id, list(left))
        new += added
    return new


def insert_members(
    session: Session,
    chat: Chat,
    ids: Sequence[int],
    role: Role,
    mutes: Mapping[int, datetime | None] = NO_MUTES,
) -> None:
    """The users must not be members yet; raises NotFound when one does not exist."""
    # Here again, because a user may have been deleted since the caller has looked.
    check_users(session, ids)
    chat_id, seq = chat.id, chat.last_seq
    rows = [
        {
            "chat_id": chat_id,
            "user_id": user_id,
            "role": role,
            "joined_seq": seq,
            "read_seq": seq,
            "muted_until": mutes.get(user_id),
            "caught_up": unread.CAUGHT_UP,
        }
        for user_id in ids
    ]
    if rows:
        session.connection().execute(insert(Member), rows)


def set_role(session: Session, chat_id: int, user_id: int, role: Role) -> None:
    """Raises Conflict for the last owner; the chat must have been read for update."""
    former, _ = _role_and_mute(session, chat_id, user_id)
    if former == OWNER and role != OWNER:
        _check_owner_is_left(session, chat_id, without=user_id)
    session.execute(
        update(Member)
        .where(Member.chat_id == chat_id, Member.user_id == user_id)
        .values(role=role)
    )


def remove_member(
    session: Session, chat_id: int, user_id: int, now: datetime, *, by_themselves: bool
) -> None:
    """Raises Conflict for the last owner; the chat must have been read for update."""
    role, muted_until = _role_and_mute(session, chat_id, user_id)
    if role == OWNER:
        _check_owner_is_left(session, chat_id, without=user_id)
    session.execute(
        delete(Member)
        .where(Member.chat_id == chat_id, Member.user_id == user_id)
        .execution_options(synchronize_session=False)
    )
    left = Left(by_themselves, muted_until)
    departures.record(session, chat_id, user_id, left, now)


def _role_and_mute(
    session: Session, chat_id: int, user_id: int
) -> tuple[Role, datetime | None]:
    """Raises NotFound when the user is not in the chat."""
    row = session.execute(
        select(Member.role, Member.muted_until).where(
            Member.chat_id == chat_id, Member.user_id == user_id
        )
    ).first()
    if row is None:
        raise NotFound(NOT_A_MEMBER)
    return row.role, row.muted_until


def _check_owner_is_left(session: Session, chat_id: int, *, without: int) -> None:
    """Raises Conflict when the other members would have no owner."""
    others = select(Member.user_id).where(
        Member.chat_id == chat_id, Member.user_id != without
    )
    if session.scalar(others.limit(1)) is None:
        return
    # Only when there is no other owner does this read every member, which is rare.
    if session.scalar(others.where(Member.role == OWNER).limit(1)) is None:
        raise Conflict("Make another member an owner of the conversation first.")


def member_ids(session: Session, chat_id: int, *, limit: int) -> Sequence[int]:
    """The first members, in the order of their ids."""
    return session.scalars(
        select(Member.user_id)
        .where(Member.chat_id == chat_id)
        .order_by(Member.user_id)
        .limit(limit)
    ).all()


def members(
    session: Session, chat_id: int, *, after: int, limit: int
) -> list[ListedMember]:
    """Members in the order of their ids."""
    rows = session.execute(
        select(User.id, User.name, User.avatar_url, Member.role, Member.read_seq)
        .join(Member, Member.user_id == User.id)
        .where(Member.chat_id == chat_id, Member.user_id > after)
        .order_by(Member.user_id)
        .limit(limit)
    )
    return [ListedMember(*row) for row in rows]


def strangers(session: Session, chat_id: int, user_ids: Sequence[int]) -> list[int]:
    """Those of up to a thousand users who are not members."""
    present = session.scalars(
        select(Member.user_id).where(
            Member.chat_id == chat_id, Member.user_id.in_(user_ids)
        )
    )
    return sorted(set(user_ids) - set(present))


def present(link: Link, chat_id: int, user_ids: Sequence[int]) -> set[int]:
    """Those of a few users who are members; none if the chat was deleted."""
    slots = {f"user_{n}": user_id for n, user_id in enumerate(user_ids)}
    return {
        row[0] for row in _present(len(slots)).all(link, {"chat": chat_id, **slots})
    }


@cache
def _present(count: int) -> Prepared:
    """A list of parameters has a fixed length."""
    users = [bindparam(f"user_{n}", type_=BigInteger) for n in range(count)]
    return Prepared(
        select(Member.user_id)
        .join(Chat, Chat.id == Member.chat_id)
        .where(
            Member.chat_id == bindparam("chat"),
            Chat.deleted_at.is_(None),
            Member.user_id.in_(users),
        )
    )


def count_members(session: Session, chat_id: int) -> int:
    return session.scalars(
        select(func.count()).select_from(Member).where(Member.chat_id == chat_id)
    ).one()
