"""Deletes jobs and imports that ended long ago, old messages, and old client ids.

The messages of a conversation go from its oldest on, with their jobs. How long they are
kept is a setting, or the conversation's own `retention_days`; no index by time is
needed, which every send would have to write to.
"""

from collections.abc import Set
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    bindparam,
    delete,
    exists,
    func,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from datastore import mariadb, unread
from datastore.statistics import first_job_since
from models.chats import Chat, ClientId, Message
from models.imports import ImportChunk, ImportJob, ImportProblem
from models.pushes import PushFailure, PushJob

# Conversations whose oldest message is looked at by one statement.
CHATS_PER_LOOK = 500


def forget_pushes(
    session: Session,
    before: datetime,
    limit: int,
    *,
    ids: tuple[int, int] | None = None,
) -> int:
    """Delete up to `limit` push jobs that ended before then; returns their number.

    The oldest go first, each with all of its shards and failures; messages stay. With
    `ids`, only jobs from the first to the second are deleted.
    """
    query = _ended_pushes(session, before)
    if ids is not None:
        query = query.where(PushJob.id.between(*ids))
    jobs = list(session.scalars(query.limit(limit)))
    if not jobs:
        return 0
    shards = session.scalars(select(PushJob.id).where(PushJob.parent_id.in_(jobs)))
    shard_ids = list(shards)
    unsynchronized = {"synchronize_session": False}
    for of_jobs in (
        delete(PushFailure).where(PushFailure.job_id.in_(jobs + shard_ids)),
        delete(PushJob).where(PushJob.id.in_(shard_ids)),
        delete(PushJob).where(PushJob.id.in_(jobs)),
    ):
        session.execute(of_jobs, execution_options=unsynchronized)
    return len(jobs)


def _ended_pushes(session: Session, before: datetime) -> Select[int]:
    """Selects jobs whose shards have all ended, by id."""
    shard = aliased(PushJob)
    has_unfinished_shard = exists().where(
        shard.parent_id == PushJob.id,
        or_(shard.finished_at.is_(None), shard.finished_at >= before),
    )
    newest = session.execute(
        select(PushJob.id, PushJob.parent_id).order_by(PushJob.id.desc()).limit(1)
    ).first()
    # Without the row of the highest id, SQLite would use this id again.
    kept = 0 if newest is None else newest.parent_id or newest.id
    return (
        select(PushJob.id)
        .where(
            # Newer jobs are skipped by id, because `finished_at` has no index.
            PushJob.id < first_job_since(session, before),
            PushJob.id != kept,
            PushJob.parent_id.is_(None),
            PushJob.finished_at < before,
            ~has_unfinished_shard,
        )
        .order_by(PushJob.id)
    )


def forget_imports(session: Session, before: datetime, limit: int) -> int:
    """Delete up to `limit` imports that ended before then; returns their number."""
    ended = select(ImportJob.id).where(ImportJob.finished_at < before)
    imports = session.scalars(ended.order_by(ImportJob.id).limit(limit)).all()
    for part in (ImportChunk, ImportProblem):
        session.execute(delete(part).where(part.import_id.in_(imports)))
    session.execute(delete(ImportJob).where(ImportJob.id.in_(imports)))
    return len(imports)


def forget_client_ids(session: Session, before: datetime, limit: int) -> int:
    """Forget about `limit` client ids from before then; returns their number."""
    times = select(ClientId.created_at).where(ClientId.created_at < before)
    oldest = list(session.scalars(times.order_by(ClientId.created_at).limit(limit)))
    if not oldest:
        return 0
    are_old = ClientId.created_at <= oldest[-1]
    unsynchronized = {"synchronize_session": False}
    messages = select(ClientId.message_id).where(are_old)
    of_messages = update(Message).where(Message.id.in_(list(session.scalars(messages))))
    session.execute(
        of_messages.values(client_id=None), execution_options=unsynchronized
    )
    session.execute(delete(ClientId).where(are_old), execution_options=unsynchronized)
    return len(oldest)


def last_chat(session: Session) -> int:
    """The highest id of a conversation."""
    return session.scalar(select(func.max(Chat.id))) or 0


class Look(NamedTuple):
    """Conversations (ids) with messages that are too old, and where to look next."""

    chats: list[int]
    # The last conversation that was looked at; None if there are no more.
    last: int | None


def find_chats(
    session: Session, *, after: int, default_days: int | None, now: datetime
) -> Look:
    """Look at the oldest message of each of the conversations behind `after`."""
    oldest = (
        select(Message.created_at)
        .where(Message.chat_id == Chat.id)
        .order_by(Message.seq)
        .limit(1)
        .scalar_subquery()
    )
    query = select(Chat.id, Chat.retention_days, oldest).where(Chat.id > after)
    if default_days is None:
        query = query.where(Chat.retention_days.is_not(None))
    rows = session.execute(query.order_by(Chat.id).limit(CHATS_PER_LOOK)).all()
    old = [
        chat_id
        for chat_id, own_days, created_at in rows
        if created_at is not None
        and (before := _before(own_days or default_days, now))
        and created_at < before
    ]
    return Look(old, rows[-1][0] if len(rows) == CHATS_PER_LOOK else None)


def _before(days: int | None, now: datetime) -> datetime | None:
    return None if days is None else now - timedelta(days=days)


class Forgotten(NamedTuple):
    """The number of messages that were deleted, and the last one (seq) looked at."""

    messages: int
    # None if no older messages are left, or if the conversation is in use.
    last_seq: int | None


def forget_messages(
    session: Session,
    chat_id: int,
    *,
    after: int,
    default_days: int | None,
    now: datetime,
    limit: int,
) -> Forgotten:
    """Delete up to `limit` old messages of a chat behind `after`, with their jobs.

    A message whose job has not ended stays until it has, but does not count as unread
    any more. Waits for no other transaction: what is locked is left to the next round.
    """
    connection = session.connection()
    # Senders to this chat wait from here to the commit, which keeps numbers exact.
    chat = connection.execute(_LOCK_CHAT, {"chat": chat_id}).first()
    before = _before(chat.retention_days or default_days, now) if chat else None
    if chat is None or before is None:
        return Forgotten(0, None)
    some = {"chat": chat_id, "after": after, "limit": limit}
    rows = connection.execute(_OLDEST, some).all()
    old = list(takewhile(lambda row: row.created_at < before, rows))
    if not old:
        return Forgotten(0, None)
    last = old[-1].seq
    part = {"chat": chat_id, "after": after, "last": last}
    free = set(connection.execute(_LOCK_PART, part).scalars())
    kept = {row.id for row in old} - free
    kept.update(connection.execute(_IN_USE, part).scalars())
    kept |= _empty_newest(session, free - kept, now)
    if mariadb.is_spoken(connection.dialect):
        _delete_by_id(connection, free - kept)
    else:
        for delete_rows in _DELETE_PART:
            connection.execute(delete_rows, {**part, "kept": list(kept)})
    pruned_seq = max(last, chat.pruned_seq or 0)
    connection.execute(_SET_PRUNED, {"chat_id": chat_id, "seq": pruned_seq})
    unread.forget_before(session, chat_id, pruned_seq)
    return Forgotten(len(old) - len(kept), last if len(old) == limit else None)


# A chat's messages behind `after`, up to `last`: a range, because lists of ids took
# longer to send than the deletion itself.
_OF_CHAT = Message.chat_id == bindparam("chat"), Message.seq > bindparam("after")
_PART = (*_OF_CHAT, Message.seq <= bindparam("last"))
_GONE = (*_PART, Message.id.not_in(bindparam("kept", expanding=True)))
_LOCK_CHAT = (
    select(Chat.retention_days, Chat.pruned_seq)
    .where(Chat.id == bindparam("chat"))
    .with_for_update(skip_locked=True, key_share=True)
)
_OLDEST = (
    select(Message.id, Message.seq, Message.created_at)
    .where(*_OF_CHAT)
    .order_by(Message.seq)
    .limit(bindparam("limit", type_=Integer))
)
# A job is added to a message only by a transaction that has locked the message.
_LOCK_PART = (
    select(Message.id)
    .where(*_PART)
    .order_by(Message.seq)
    .with_for_update(skip_locked=True)
)
_IN_USE = (
    select(PushJob.message_id)
    .join(Message, Message.id == PushJob.message_id)
    .where(*_PART, PushJob.finished_at.is_(None))
)
_OF_GONE = PushJob.message_id.in_(select(Message.id).where(*_GONE))
_DELETE_PART = (
    delete(PushFailure).where(
        PushFailure.job_id.in_(select(PushJob.id).where(_OF_GONE))
    ),
    delete(PushJob).where(_OF_GONE, PushJob.parent_id.is_not(None)),
    delete(PushJob).where(_OF_GONE),
    delete(Message).where(*_GONE),
)
_JOBS = select(PushJob.id, PushJob.parent_id).where(
    PushJob.message_id.in_(bindparam("ids", expanding=True))
)


def _delete_by_id(connection: Connection, messages: Set[int]) -> None:
    """Delete these messages with their jobs.

    MariaDB locks every row that a DELETE looks at, so a range would wait for messages
    that are kept because they are locked; and it looks at all jobs for a subquery.
    """
    if not messages:
        return
    jobs = connection.execute(_JOBS, {"ids": sorted(messages)}).all()
    shards = [row.id for row in jobs if row.parent_id is not None]
    whole = [row.id for row in jobs if row.parent_id is None]
    for column, ids in (
        (PushFailure.job_id, shards + whole),
        (PushJob.id, shards),
        (PushJob.id, whole),
        (Message.id, messages),
    ):
        if ids:
            connection.execute(delete(column.class_).where(column.in_(sorted(ids))))


_SET_PRUNED = (
    update(Chat)
    .where(Chat.id == bindparam("chat_id"))
    .values(pruned_seq=bindparam("seq"))
)


def _empty_newest(session: Session, ids: Set[int], now: datetime) -> set[int]:
    """Those of the messages that have to stay on SQLite; they are emptied.

    Without the rows of the highest ids, SQLite would use these ids again.
    """
    if session.get_bind().dialect.name != "sqlite":
        return set()
    newest = session.scalar(select(func.max(Message.id)))
    of_newest_job = session.scalar(
        select(PushJob.message_id).order_by(PushJob.id.desc()).limit(1)
    )
    kept = {newest, of_newest_job} & ids
    if kept:
        session.execute(
            update(Message)
            .where(Message.id.in_(kept), Message.deleted_at.is_(None))
            .values(text="", data=null(), mentions=null(), notification=null())
            .values(client_id=None, deleted_at=now)
        )
    return {message_id for message_id in kept if message_id is not None}
