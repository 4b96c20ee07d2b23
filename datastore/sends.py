"""A send: the sender's membership is checked, and the message stored with its job."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datastore import Datastore, chats, messages, send_statement, senders
from datastore.chats import Membership
from datastore.posts import Draft, NewMessage, Posted
from datastore.prepared import Row
from models.base import utc_now
from models.chats import MEMBER
from models.errors import Invalid, NotFound
from models.pushes import AT_ONCE


class Sent(NamedTuple):
    """A message that was posted, and its sender's membership before."""

    membership: Membership
    posted: Posted


def send(
    store: Datastore,
    chat_id: int,
    user_id: int,
    draft: Draft,
    admit: Callable[[int], None] | None = None,
) -> Sent:
    """Store a message; raises NotFound unless its sender is a member.

    `admit` is called with the chat if the sender is a member, and may refuse.
    """
    if store.is_postgresql:
        if draft.mentions or admit is not None:
            _check(store, chat_id, user_id, draft)
            if admit is not None:
                admit(chat_id)
                admit = None
        if sent := _send_at_once(store, chat_id, user_id, draft):
            return sent

    def post(session: Session) -> Sent:
        membership = chats.membership(session, chat_id, user_id, for_update=True)
        if admit is not None:
            admit(chat_id)
        return Sent(membership, messages.post(session, membership, draft, utc_now()))

    return store.write_grouped(post)


def send_as_system(store: Datastore, chat_id: int, draft: Draft) -> Sent:
    """Store a message without a sender; raises NotFound if there is no such chat."""

    def post(session: Session) -> Sent:
        now = utc_now()
        chat = chats.get(session, chat_id, for_update=True)
        # It reads as little of the chat as a member does, and there is no such member.
        membership = Membership(
            chat_id=chat.id,
            chat_name=chat.name,
            created_at=chat.created_at,
            last_seq=chat.last_seq,
            last_job_id=chat.last_job_id,
            user_id=senders.system_user(session, now),
            role=MEMBER,
            read_seq=chat.last_seq,
            muted_until=None,
        )
        return Sent(membership, messages.post(session, membership, draft, now))

    return store.write_grouped(post)


def _check(store: Datastore, chat_id: int, user_id: int, draft: Draft) -> None:
    """Raises NotFound, or Invalid if not only members are mentioned."""
    mentioned = draft.mentions or []
    with store.lookup() as link:
        present = chats.present(link, chat_id, [user_id, *mentioned])
    if user_id not in present:
        raise NotFound(chats.NOT_YOURS)
    if unknown := sorted(set(mentioned) - present):
        raise Invalid(messages.ONLY_MEMBERS, user_ids=unknown)


def _send_at_once(
    store: Datastore, chat_id: int, user_id: int, draft: Draft
) -> Sent | None:
    """By one statement; None if the message was posted before."""
    now = utc_now()
    statement = send_statement.statement(has_client_id=draft.client_id is not None)
    values = _values(chat_id, user_id, draft, now)
    try:
        row = store.run_at_once(statement, values)
        if row is None:
            # The caller is no member, or another transaction has locked the chat.
            place = {"chat": chat_id, "user": user_id}
            membership, row = store.run_in_turn(
                [(chats.MEMBERSHIP_LOCKED, place), (statement, values)]
            )
            if membership is None:
                raise NotFound(chats.NOT_YOURS)
    except IntegrityError:
        # Its client id was stored at this very moment.
        return None
    return None if row is None else _sent(row, draft, now)


def _values(chat_id: int, user_id: int, draft: Draft, now: datetime) -> dict[str, Any]:
    """The parameters of the statement."""
    deliver_at = max(draft.deliver_after or now, now)
    is_ordered = deliver_at <= now
    values = {
        **draft.columns(),
        "chat": chat_id,
        "user": user_id,
        "now": now,
        "is_ordered": is_ordered,
        "due_at": AT_ONCE if is_ordered else deliver_at,
        "expires_at": deliver_at + timedelta(seconds=draft.ttl_s),
        **draft.origin._asdict(),
    }
    if draft.client_id is not None:
        values["digest"] = draft.digest()
    return values


def _sent(row: Row, draft: Draft, now: datetime) -> Sent:
    message_id, job_id, *place = row
    membership = Membership(*place)
    message = NewMessage(
        id=message_id,
        chat_id=membership.chat_id,
        seq=membership.last_seq + 1,
        sender_id=membership.user_id,
        created_at=now,
        **draft.columns(),
    )
    return Sent(membership, Posted(message, job_id, is_new=True))
