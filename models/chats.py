"""Conversations: chats, their members and the messages in them."""

from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import (
    JSON,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId, partial_index

Role = Literal["owner", "member"]
OWNER: Final = "owner"
MEMBER: Final = "member"


class Chat(Base):
    """A conversation of any number of members."""

    __tablename__ = "chat"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    # The id in the app's own backend; imports refer to conversations by it.
    external_id: Mapped[str | None] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    # The number of the newest message, for paging, unread counts and badges.
    last_seq: Mapped[int] = mapped_column(Integer, default=0)
    # The job of the newest message that is pushed in order: the next one waits for it.
    last_job_id: Mapped[int | None] = mapped_column(BigId)
    # The number of the newest message that does not count as unread, and how many there
    # are; NULL if all count.
    uncounted_seq: Mapped[int | None] = mapped_column(Integer)
    uncounted: Mapped[int | None] = mapped_column(Integer)
    # Days after which its messages are pruned; NULL means those of the settings.
    retention_days: Mapped[int | None] = mapped_column(Integer)
    # Messages up to this number have been pruned and do not count as unread, even if
    # one of them is still there because its push has not ended; NULL if none has been.
    pruned_seq: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Member(Base):
    """A user in a chat; leaving moves the row to `departure`, so no push follows."""

    __tablename__ = "member"
    # The last two each cover one half of the members, where the database can do that.
    __table_args__ = (
        Index("ix_member_user_id_chat_id", "user_id", "chat_id"),
        partial_index(
            "ix_member_user_id_caught_up", "caught_up IS NULL", "user_id", "caught_up"
        ),
        partial_index(
            "ix_member_chat_id_caught_up_user_id",
            "caught_up IS NOT NULL",
            "chat_id",
            "caught_up",
            "user_id",
        ),
    )

    chat_id: Mapped[int] = mapped_column(ForeignKey("chat.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    role: Mapped[Role] = mapped_column(String(16))
    # last_seq when the user joined: earlier messages are not pushed to them.
    joined_seq: Mapped[int] = mapped_column(Integer)
    read_seq: Mapped[int] = mapped_column(Integer)
    muted_until: Mapped[datetime | None]
    # 1 leaves the membership out of the user's badge, because nothing is unread in it;
    # NULL is always right, and costs time. See datastore/unread.py.
    caught_up: Mapped[int | None] = mapped_column(Integer)


class Departure(Base):
    """A user who is no longer in a chat; says nothing about one who is a member.

    Apart from `member`, so that what is asked about members needs no condition.
    """

    __tablename__ = "departure"

    chat_id: Mapped[int] = mapped_column(ForeignKey("chat.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    left_at: Mapped[datetime]
    # False: an owner or the service has removed the member.
    by_themselves: Mapped[bool] = mapped_column(Boolean)
    # The membership's, which a new membership gets.
    muted_until: Mapped[datetime | None]


class Message(Base):
    """A message by a member."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("chat_id", "seq"),
        UniqueConstraint("chat_id", "sender_id", "client_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chat.id"))
    # 1, 2, 3 … within its chat.
    seq: Mapped[int] = mapped_column(Integer)
    sender_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    # The sender's own id of the message; see ClientId, which is asked first.
    client_id: Mapped[str | None] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(Text)
    # The app's own key/value strings, delivered inside the push.
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    # Ids of users who get the push although they have muted the conversation.
    mentions: Mapped[list[int] | None] = mapped_column(JSON)
    # Pushed without alert and sound.
    silent: Mapped[bool] = mapped_column(Boolean, default=False)
    # The kind of its notification; it may have been removed since.
    kind: Mapped[str | None] = mapped_column(String(64))
    # What the service has set for the notification of this message alone.
    notification: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class ClientId(Base):
    """A client id that a member has posted a message with, for a setting's days.

    It outlives the message and the job, which is why nothing refers to them.
    """

    __tablename__ = "client_id"
    # Rows inside the key: one B-tree less to write to.
    __table_args__ = (
        Index("ix_client_id_created_at", "created_at"),
        {"sqlite_with_rowid": False},
    )

    chat_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    sender_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    client_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    # The first answer, which later ones repeat.
    message_id: Mapped[int] = mapped_column(BigId)
    job_id: Mapped[int] = mapped_column(BigId)
    seq: Mapped[int] = mapped_column(Integer)
    # Of all that the sender gave: another message needs another id.
    digest: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]


class Uncounted(Base):
    """A message that does not count as unread, because it was deleted.

    Of those that have been pruned, only the newest may have a row.
    """

    __tablename__ = "uncounted"

    chat_id: Mapped[int] = mapped_column(ForeignKey("chat.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    # 1, 2, 3 … in the order of `seq`, so that two rows tell how many lie between them.
    nth: Mapped[int] = mapped_column(Integer)
