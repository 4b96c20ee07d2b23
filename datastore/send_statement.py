"""A send as one statement of PostgreSQL, where every round trip costs.

It is a transaction of its own, or one of several in a pipeline. It waits for no lock:
if another transaction has locked the chat or the member, it stores nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    bindparam,
    case,
    exists,
    insert,
    literal_column,
    select,
    true,
    update,
)

from datastore.chats import select_membership
from datastore.outbox import order
from datastore.prepared import Prepared
from models.chats import Chat, ClientId, Member, Message
from models.pushes import MESSAGE, QUEUED, PushJob


def _given(name: str, column: Any) -> ColumnElement[Any]:
    return bindparam(name, type_=column.type)


# Whether the next message waits for this one.
_IS_ORDERED = bindparam("is_ordered", type_=Boolean)


_CLIENT_ID = (Message.chat_id, Message.sender_id, Message.client_id)


def _constants(columns: Mapping[str, Any]) -> dict[str, ColumnElement[Any]]:
    """Values that are the same in each send, as SQL."""
    return {name: literal_column(repr(value)) for name, value in columns.items()}


def _insert(
    model: Any,
    values: Mapping[str, Any],
    source: Any,
    name: str,
    unless: Sequence[Any] = (),
) -> CTE:
    """Inserts one row per row of the source; selects their ids."""
    # Imported here, because it is a megabyte that other databases do not need.
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    rows = select(*values.values()).select_from(source)
    statement = postgresql.insert(model).from_select(
        list(values), rows, include_defaults=False
    )
    if unless:
        statement = statement.on_conflict_do_nothing(index_elements=unless)
    return statement.returning(model.id).cte(name)


@cache
def statement(*, has_client_id: bool) -> Prepared:
    """The statement; it also stores nothing if the client id has been used."""
    locked = select_membership().with_for_update(
        of=(Chat, Member), key_share=True, skip_locked=True
    )
    if has_client_id:
        locked = locked.where(~_is_known())
    place = locked.cte("place")
    seq = place.c.last_seq + literal_column("1")
    message = _insert(
        Message,
        {
            "chat_id": place.c.id,
            "seq": seq,
            "sender_id": place.c.user_id,
            "client_id": _given("client_id", Message.client_id),
            "text": _given("text", Message.text),
            "data": _given("data", Message.data),
            "mentions": _given("mentions", Message.mentions),
            "silent": _given("silent", Message.silent),
            "kind": _given("kind", Message.kind),
            "notification": _given("notification", Message.notification),
            "created_at": _given("now", Message.created_at),
        },
        place,
        "new_message",
        unless=_CLIENT_ID if has_client_id else (),
    )
    job = _job(place, message)
    last_job = case((_IS_ORDERED, job.c.id), else_=place.c.last_job_id)
    set_last = (
        update(Chat)
        .where(Chat.id == place.c.id, job.c.id.is_not(None))
        .values(last_seq=seq, last_job_id=last_job)
    )
    set_read_seq = (
        update(Member)
        .where(Member.chat_id == place.c.id, Member.user_id == place.c.user_id)
        .where(Member.read_seq < seq, job.c.id.is_not(None))
        .values(read_seq=seq)
    )
    parts = [set_last.cte("set_last"), set_read_seq.cte("set_read_seq")]
    if has_client_id:
        parts.append(_remember(place, message, job, seq))
    return Prepared(select(message.c.id, job.c.id, *place.c).add_cte(*parts))


def _job(place: CTE, message: CTE) -> CTE:
    """Inserts the job behind the chat's last one."""
    after = case((_IS_ORDERED, place.c.last_job_id))
    defaults = {
        column.name: column.default.arg
        for column in PushJob.__table__.columns
        if column.default is not None
    }
    return _insert(
        PushJob,
        {
            **_constants(defaults | {"kind": MESSAGE, "state": QUEUED}),
            "message_id": message.c.id,
            "chat_id": place.c.id,
            "holds_chat": _IS_ORDERED,
            "created_at": _given("now", PushJob.created_at),
            "expires_at": _given("expires_at", PushJob.expires_at),
            "request_id": _given("request_id", PushJob.request_id),
            "traceparent": _given("traceparent", PushJob.traceparent),
            **order.behind_last(after, _given("due_at", PushJob.due_at)),
        },
        place.join(message, true()),
        "new_job",
    )


def _is_known() -> ColumnElement[bool]:
    """Whether the client id has been used."""
    return (
        exists()
        .where(
            ClientId.chat_id == Chat.id,
            ClientId.sender_id == Member.user_id,
            ClientId.client_id == _given("client_id", ClientId.client_id),
        )
        .correlate(Chat, Member)
    )


def _remember(place: CTE, message: CTE, job: CTE, seq: ColumnElement[int]) -> CTE:
    """Inserts the client id.

    If another transaction has done so since the statement began, the conflict undoes
    the whole statement; the unique index of `message` nearly always tells before.
    """
    values = {
        "chat_id": place.c.id,
        "sender_id": place.c.user_id,
        "client_id": _given("client_id", ClientId.client_id),
        "message_id": message.c.id,
        "job_id": job.c.id,
        "seq": seq,
        "digest": _given("digest", ClientId.digest),
        "created_at": _given("now", ClientId.created_at),
    }
    source = place.join(message, true()).join(job, true())
    rows = select(*values.values()).select_from(source)
    return (
        insert(ClientId)
        .from_select(list(values), rows, include_defaults=False)
        .cte("remember")
    )
