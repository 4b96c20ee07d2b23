"""Creates conversations of any size directly in a database."""

import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from datastore import Datastore, outbox
from models.accounts import Device, User
from models.base import utc_now
from models.chats import Chat, Member, Message
from models.pushes import PushJob


def make_chat(
    store: Datastore,
    members: int,
    *,
    platforms: Sequence[str] = ("apns",),
    tokens: Sequence[str] = (),
    devices_each: int = 1,
) -> int:
    """Create a chat of a sender (the first user) and `members` others with devices."""
    now = utc_now() - timedelta(minutes=1)
    # Unique tokens, so that a late push of another test is not taken for one of ours.
    ours = secrets.token_hex(8)
    with store.write() as session:
        first = (session.scalar(select(func.max(User.id))) or 0) + 1
        users = range(first, first + members + 1)
        chat = Chat(name=f"chat of {members}", created_at=now)
        session.add(chat)
        session.execute(
            insert(User),
            [{"id": i, "name": f"user {i}", "created_at": now} for i in users],
        )
        session.flush()
        session.execute(
            insert(Member),
            [
                {
                    "chat_id": chat.id,
                    "user_id": i,
                    "role": "member",
                    "joined_seq": 0,
                    "read_seq": 0,
                }
                for i in users
            ],
        )
        rows = []
        for user in users:
            for k in range(devices_each):
                n = (user - first - 1) * devices_each + k
                named = tokens[n] if 0 <= n < len(tokens) else None
                rows.append(
                    {
                        "user_id": user,
                        "platform": platforms[n % len(platforms)],
                        "token": named or f"{ours}{user * 100 + k:048x}",
                        "token_hash": f"{ours}{user * 100 + k:048x}",
                        "environment": "production",
                        "registered_at": now,
                    }
                )
        session.execute(insert(Device), rows)
        return chat.id


def add_user(store: Datastore, token: str | None = None, platform: str = "apns") -> int:
    """A user without conversations, with a device if there is a token."""
    now = utc_now() - timedelta(minutes=1)
    with store.write() as session:
        first = (session.scalar(select(func.max(User.id))) or 0) + 1
        user = User(id=first, name="a user", created_at=now)
        session.add(user)
        session.flush()
        if token is not None:
            session.add(
                Device(
                    user_id=user.id,
                    platform=platform,
                    token=token,
                    token_hash=secrets.token_hex(32),
                    environment="production",
                    registered_at=now,
                )
            )
        return user.id


def join_chats(store: Datastore, users: Sequence[int], number: int) -> list[int]:
    """So many chats of these users; the one with the lowest id is the sender."""
    now = utc_now() - timedelta(minutes=1)
    with store.write() as session:
        chats = [Chat(name=f"chat {n}", created_at=now) for n in range(number)]
        session.add_all(chats)
        session.flush()
        joined = {"role": "member", "joined_seq": 0, "read_seq": 0}
        session.execute(
            insert(Member),
            [
                {"chat_id": chat.id, "user_id": user, **joined}
                for chat in chats
                for user in users
            ],
        )
        return [chat.id for chat in chats]


def sender_of(store: Datastore, chat_id: int) -> int:
    with store.read() as session:
        found = session.scalar(
            select(func.min(Member.user_id)).where(Member.chat_id == chat_id)
        )
    assert found is not None
    return found


def tokens_of(store: Datastore, chat_id: int) -> set[str]:
    """The tokens of all devices except the sender's."""
    with store.read() as session:
        found = session.scalars(
            select(Device.token)
            .join(Member, Member.user_id == Device.user_id)
            .where(
                Member.chat_id == chat_id, Device.user_id != sender_of(store, chat_id)
            )
        )
        return set(found)


def open_jobs(store: Datastore) -> int:
    with store.read() as session:
        return (
            session.scalar(select(func.count()).where(PushJob.finished_at.is_(None)))
            or 0
        )


def post(
    store: Datastore,
    chat_id: int,
    *,
    text: str = "hello",
    delay_s: float = 0,
    ttl_s: int = 3600,
    silent: bool = False,
) -> int:
    """Post a message of the chat's first member; returns its job."""
    with store.write() as session:
        return post_in(
            session, chat_id, text=text, delay_s=delay_s, ttl_s=ttl_s, silent=silent
        )


def post_in(
    session: Session,
    chat_id: int,
    *,
    text: str,
    delay_s: float,
    ttl_s: int,
    silent: bool = False,
) -> int:
    now = utc_now()
    session.execute(
        update(Chat).where(Chat.id == chat_id).values(last_seq=Chat.last_seq + 1)
    )
    seq = session.scalars(select(Chat.last_seq).where(Chat.id == chat_id)).one()
    sender = session.scalar(
        select(func.min(Member.user_id)).where(Member.chat_id == chat_id)
    )
    message = Message(
        chat_id=chat_id,
        seq=seq,
        sender_id=sender,
        text=text,
        silent=silent,
        created_at=now,
    )
    session.add(message)
    session.flush()
    chat = session.get_one(Chat, chat_id)
    job_id = outbox.enqueue(
        session,
        message=message,
        deliver_at=now + timedelta(seconds=delay_s),
        ttl_s=ttl_s,
        now=now,
        after=chat.last_job_id,
    )
    if delay_s <= 0:
        chat.last_job_id = job_id
        session.flush()
    return job_id
