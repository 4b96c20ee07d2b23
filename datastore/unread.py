"""What is unread, and the badge: the sum over all conversations of a user.

A message is unread if it was posted after the member's `read_seq` and counts. A
deleted one does not count (`Uncounted`), nor does one up to the chat's `pruned_seq`.

The badge leaves out memberships that are `caught_up`, so a push does not pay for
conversations in which nothing is unread. Two rules keep this right:

- `settle` marks a membership only while the chat's row is locked, so that no message
  can be posted between its look and its commit;
- the fan-out of a message unmarks the members (`reopen`) before it reads a badge.

A membership that is not marked is never wrong; it only costs the badge some time. So
reading marks nothing while few memberships are open. Otherwise each message of a
lively conversation would unmark its members, and each reading would mark them again.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from models.chats import Chat, Member, Uncounted

# The value of `Member.caught_up`; its other value is NULL.
CAUGHT_UP = 1
# Memberships of a user that may stay open although nothing is unread in them. Each
# costs the badge a look at two rows; without them, each message would write.
MOST_IDLE = 5
# Members who are reopened in one transaction, because other writers wait for it.
REOPENED_AT_ONCE = 1000


def count(chat: Any = Chat, member: Any = Member) -> ColumnElement[int]:
    """How many messages of the chat the member has not read."""
    # Pruned messages are as good as read.
    read_seq = case(
        (chat.pruned_seq > member.read_seq, chat.pruned_seq), else_=member.read_seq
    )
    before = (
        select(Uncounted.nth)
        .where(Uncounted.chat_id == chat.id, Uncounted.seq <= read_seq)
        .order_by(Uncounted.seq.desc())
        .limit(1)
        .correlate(chat, member)
        .scalar_subquery()
    )
    # Most members have read further than the newest message that does not count.
    uncounted = case(
        (
            chat.uncounted_seq > read_seq,
            chat.uncounted - func.coalesce(before, 0),
        ),
        else_=0,
    )
    unread: ColumnElement[int] = chat.last_seq - read_seq - uncounted
    return unread


def badge(owner: Any = Member) -> Any:
    """The user's unread messages in all conversations, for a query of members.

    Or of devices, if these are the `owner`.
    """
    membership, chat = aliased(Member), aliased(Chat)
    return (
        select(func.coalesce(func.sum(count(chat, membership)), 0))
        .select_from(membership)
        .join(chat, chat.id == membership.chat_id)
        .where(
            membership.user_id == owner.user_id,
            membership.caught_up.is_(None),
            chat.deleted_at.is_(None),
        )
        .correlate(owner)
        .scalar_subquery()
    )


_OF_MEMBER = (
    select(count())
    .join(Member, Member.chat_id == Chat.id)
    .where(Chat.id == bindparam("chat"), Member.user_id == bindparam("user"))
)


def of_member(session: Session, chat_id: int, user_id: int) -> int:
    """The number of messages that the member has not read."""
    values = {"chat": chat_id, "user": user_id}
    return int(session.connection().execute(_OF_MEMBER, values).scalar_one())


def leave_out(session: Session, chat_id: int, seqs: Sequence[int]) -> None:
    """Count these messages no longer; the chat must have been read for update.

    They must have counted until now. Costs time for each newer message that does not
    count, which are few.
    """
    if not seqs:
        return
    first, last = min(seqs), max(seqs)
    of_chat = Uncounted.chat_id == chat_id
    older = session.scalar(
        select(Uncounted.nth)
        .where(of_chat, Uncounted.seq < first)
        .order_by(Uncounted.seq.desc())
        .limit(1)
    )
    connection = session.connection()
    between = (of_chat, Uncounted.seq > first, Uncounted.seq < last)
    known: list[int] = []
    if len(seqs) > 1:
        known = list(
            connection.execute(select(Uncounted.seq).where(*between)).scalars()
        )
        connection.execute(delete(Uncounted).where(*between))
    connection.execute(
        update(Uncounted)
        .where(of_chat, Uncounted.seq > last)
        .values(nth=Uncounted.nth + len(seqs))
    )
    ranks = enumerate(sorted([*seqs, *known]), (older or 0) + 1)
    rows = [{"chat_id": chat_id, "seq": seq, "nth": nth} for nth, seq in ranks]
    connection.execute(insert(Uncounted), rows)
    newest = func.coalesce(Chat.uncounted_seq, 0)
    connection.execute(
        update(Chat)
        .where(Chat.id == chat_id)
        .values(
            uncounted_seq=case((newest > last, newest), else_=last),
            uncounted=func.coalesce(Chat.uncounted, 0) + len(seqs),
        )
    )


def forget_before(session: Session, chat_id: int, seq: int) -> None:
    """Forget deleted messages that have been pruned; the chat's row must be locked.

    The newest of those up to `seq` stays, because the ranks begin with it.
    """
    kept = session.scalar(
        select(func.max(Uncounted.seq)).where(
            Uncounted.chat_id == chat_id, Uncounted.seq <= seq
        )
    )
    if kept is not None:
        session.connection().execute(
            delete(Uncounted).where(Uncounted.chat_id == chat_id, Uncounted.seq < kept)
        )


_IDLE = (
    select(Member.chat_id)
    .join(Chat, Chat.id == Member.chat_id)
    .where(
        Member.user_id == bindparam("user"),
        Member.caught_up.is_(None),
        or_(count() == 0, Chat.deleted_at.is_not(None)),
    )
)
# Waits for no other transaction: what is locked is left to the user's next reading.
_IDLE_LOCKED = _IDLE.where(Member.chat_id != bindparam("chat")).with_for_update(
    skip_locked=True
)
_SETTLE = (
    update(Member)
    .where(
        Member.user_id == bindparam("user"),
        Member.chat_id.in_(bindparam("chats", expanding=True)),
    )
    .values(caught_up=CAUGHT_UP)
)


def settle(session: Session, user_id: int, *, except_chat: int) -> None:
    """Mark what the user has read, if the badge looks at too much of it.

    The given chat stays open, because the user is reading it now. Call it last in a
    transaction, because it locks the rows of other chats.
    """
    connection = session.connection()
    values: dict[str, Any] = {"user": user_id, "chat": except_chat}
    if len(connection.execute(_IDLE, values).all()) <= MOST_IDLE:
        return
    chats = connection.execute(_IDLE_LOCKED, values).scalars().all()
    if chats:
        connection.execute(_SETTLE, {"user": user_id, "chats": chats})


def first_caught_up(parameter: Any = bindparam) -> Select[Any]:
    """The first member (id) from a user on whom a message finds caught up."""
    member = aliased(Member)
    return (
        select(member.user_id)
        .where(
            member.chat_id == parameter("chat"),
            # Not IS NOT NULL: equal rows are in the order of `user_id` in the index.
            member.caught_up == CAUGHT_UP,
            member.user_id >= parameter("user"),
            member.read_seq < parameter("seq"),
        )
        .order_by(member.user_id)
        .limit(1)
    )


_FIRST_CAUGHT_UP = first_caught_up()
_STALE = (
    Member.chat_id == bindparam("chat"),
    Member.caught_up == CAUGHT_UP,
    Member.user_id >= bindparam("user"),
    Member.user_id <= bindparam("until"),
    Member.read_seq < bindparam("seq"),
)
_FIND_STALE = (
    select(Member.user_id)
    .where(*_STALE)
    .order_by(Member.user_id)
    .limit(bindparam("limit", type_=Integer))
    # In order, so that two engines never wait for each other.
    .with_for_update()
)
_REOPEN = update(Member).where(*_STALE).values(caught_up=None)
# More than any id of a user.
_EVERYBODY = 2**62


def find_caught_up(session: Session, chat_id: int, seq: int, user: int) -> int | None:
    """The result of `first_caught_up`."""
    values = {"chat": chat_id, "seq": seq, "user": user}
    found: int | None = session.connection().scalar(_FIRST_CAUGHT_UP, values)
    return found


def reopen(
    session: Session, chat_id: int, seq: int, *, first: int, until: int | None
) -> int | None:
    """Unmark members from `first` to `until` who have not read this message.

    Returns the member with whom to go on, or None when all are done.
    """
    last = _EVERYBODY if until is None else until
    values = {"chat": chat_id, "seq": seq, "user": first, "until": last}
    connection = session.connection()
    limit = {"limit": REOPENED_AT_ONCE}
    found = connection.execute(_FIND_STALE, values | limit).scalars().all()
    if not found:
        return None
    connection.execute(_REOPEN, values | {"until": found[-1]})
    is_last = len(found) < REOPENED_AT_ONCE or found[-1] == until
    return None if is_last else found[-1] + 1
