"""A test push: a message from Bottlepost itself to all devices of one user."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from datastore import accounts, chats, messages
from datastore.posts import NO_ORIGIN, Draft, Origin
from models.accounts import Device, User
from models.chats import MEMBER, OWNER, Chat, Member
from models.errors import NotFound

SENDER_NAME = "Bottlepost"
CHAT_NAME = "Test pushes"
TEXT = "This is a test push. If you can read it, pushes reach this device."


def owner_of(session: Session, device_id: int) -> int:
    """Raises NotFound when there is no such device."""
    user_id = session.scalar(select(Device.user_id).where(Device.id == device_id))
    if user_id is None:
        raise NotFound("There is no such device.")
    return user_id


def send(
    session: Session, user_id: int, now: datetime, origin: Origin = NO_ORIGIN
) -> int:
    """Post a message to the user in a conversation of its own; returns the job's id."""
    accounts.check_users(session, [user_id])
    found = _chat_with(session, user_id)
    if found is None:
        sender, _ = accounts.add_user(session, SENDER_NAME, now)
        chat, _ = chats.create(
            session, CHAT_NAME, owner_id=sender.id, user_ids=[user_id], now=now
        )
        found = (chat.id, sender.id)
    membership = chats.membership(session, *found, for_update=True)
    return messages.post(
        session, membership, Draft(text=TEXT, origin=origin), now
    ).job_id


def _chat_with(session: Session, user_id: int) -> tuple[int, int] | None:
    """The conversation and the sender of an earlier test push."""
    target = aliased(Member)
    row = session.execute(
        select(Chat.id, User.id)
        .join(target, (target.chat_id == Chat.id) & (target.user_id == user_id))
        .join(Member, (Member.chat_id == Chat.id) & (Member.role == OWNER))
        .join(User, (User.id == Member.user_id) & (User.name == SENDER_NAME))
        .where(target.role == MEMBER, Chat.name == CHAT_NAME, Chat.deleted_at.is_(None))
        .order_by(Chat.id)
        .limit(1)
    ).first()
    return (row[0], row[1]) if row else None
