"""The stages of the deletion of a user, each in steps of a bounded size.

A step tells whether its stage is done. It may be repeated, and it finds by itself what
is left, or goes on behind `after_id` and `after_nth`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from datastore import erasure, import_rows, imports, messages
from models import subscriptions
from models.accounts import ApiToken, Device, User
from models.chats import OWNER, Chat, ClientId, Departure, Member, Message
from models.deletions import (
    ACCESS,
    FAILURES,
    IMPORTS,
    JOBS,
    MEMBERSHIPS,
    TEXTS,
    UserDeletion,
)
from models.imports import RECEIVING, ImportChunk, ImportJob, Problem, Row
from models.pushes import BROWSER, PushFailure, PushJob

TOKENS_AT_ONCE = 200
DEVICES_AT_ONCE = 50
CHATS_AT_ONCE = 20
# Chats that are asked for traces of the user by one statement.
CHATS_PER_LOOK = 200
CLIENT_IDS_AT_ONCE = 200
FAILURES_PER_LOOK = 2000
JOBS_PER_LOOK = 2000
# `after_nth` of a chat in which nothing is left to do.
DONE = -1
# While the file of an import is still being sent.
UPLOAD_PAUSE = timedelta(seconds=2)
# While jobs are under way that may have begun to push to the user's devices.
PUSH_PAUSE = timedelta(seconds=1)
LONGEST_PUSH = timedelta(minutes=1)
# Takes the place of an error that names a device.
ERASED = "the reason was erased with a user"
_UNSYNCHRONIZED = {"synchronize_session": False}


def _access(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    of_user = ApiToken.user_id == deletion.user_id
    tokens = session.scalars(select(ApiToken.id).where(of_user).limit(TOKENS_AT_ONCE))
    ids = tokens.all()
    session.execute(
        delete(ApiToken).where(ApiToken.id.in_(ids)), execution_options=_UNSYNCHRONIZED
    )
    devices = session.scalars(
        select(Device)
        .where(Device.user_id == deletion.user_id)
        .order_by(Device.id)
        .limit(DEVICES_AT_ONCE)
        .with_for_update()
    ).all()
    if devices:
        before = deletion.remembered or {"devices": [], "names": []}
        deletion.remembered = {
            "devices": before["devices"] + [each.id for each in devices],
            "names": before["names"] + [_name(each) for each in devices],
        }
        session.execute(
            delete(Device).where(Device.id.in_([each.id for each in devices])),
            execution_options=_UNSYNCHRONIZED,
        )
    deletion.tokens += len(ids)
    deletion.devices += len(devices)
    return len(ids) < TOKENS_AT_ONCE and len(devices) < DEVICES_AT_ONCE


def _name(device: Device) -> str:
    """By which a provider may call the device: its token, its address, its endpoint."""
    if device.platform != BROWSER:
        return device.token
    try:
        subscription = subscriptions.parse(device.token)
        return subscription.origin + subscription.path
    except ValueError:
        return device.token


def _memberships(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    of_user = Member.user_id == deletion.user_id
    query = select(Member.chat_id).where(of_user).order_by(Member.chat_id)
    chats = session.scalars(query.limit(CHATS_AT_ONCE)).all()
    for chat_id in chats:
        # The lock of a post: after this, no message of the user can follow.
        _lock(session, chat_id)
        place = (of_user, Member.chat_id == chat_id)
        if session.scalar(select(Member.role).where(*place)) == OWNER:
            _hand_over(session, chat_id, deletion.user_id)
        removed = session.execute(
            delete(Member).where(*place), execution_options=_UNSYNCHRONIZED
        )
        deletion.memberships += removed.rowcount  # type: ignore[attr-defined]
    return len(chats) < CHATS_AT_ONCE


def _lock(session: Session, chat_id: int) -> None:
    session.execute(
        select(Chat.id).where(Chat.id == chat_id).with_for_update(key_share=True)
    )


def _hand_over(session: Session, chat_id: int, user_id: int) -> None:
    """Make the member who joined first an owner, if there is no other one."""
    others = (
        select(Member.user_id)
        .join(User, User.id == Member.user_id)
        .where(
            Member.chat_id == chat_id,
            Member.user_id != user_id,
            User.deleted_at.is_(None),
        )
    )
    if session.scalar(others.where(Member.role == OWNER).limit(1)) is not None:
        return
    heir = session.scalar(others.order_by(Member.joined_seq, Member.user_id).limit(1))
    if heir is not None:
        session.execute(
            update(Member)
            .where(Member.chat_id == chat_id, Member.user_id == heir)
            .values(role=OWNER),
            execution_options=_UNSYNCHRONIZED,
        )


def _texts(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    """Goes through all chats, because users leave chats that they have written in."""
    if deletion.after_id and deletion.after_nth != DONE:
        if _texts_of_chat(session, deletion, now):
            deletion.after_nth = DONE
        return False
    query = select(Chat.id).where(Chat.id > deletion.after_id).order_by(Chat.id)
    chats = session.scalars(query.limit(CHATS_PER_LOOK)).all()
    if not chats:
        return True
    found = _first_with_traces(session, chats, deletion.user_id)
    deletion.after_id = chats[-1] if found is None else found
    deletion.after_nth = DONE if found is None else 0
    return False


def _first_with_traces(
    session: Session, chats: Sequence[int], user_id: int
) -> int | None:
    def has(model: Any, user: Any) -> Any:
        return exists().where(model.chat_id == Chat.id, user == user_id)

    return session.scalar(
        select(Chat.id)
        .where(
            Chat.id.in_(chats),
            or_(
                has(Message, Message.sender_id),
                has(ClientId, ClientId.sender_id),
                has(Departure, Departure.user_id),
            ),
        )
        .order_by(Chat.id)
        .limit(1)
    )


def _texts_of_chat(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    chat_id, user_id, after = deletion.after_id, deletion.user_id, deletion.after_nth
    _lock(session, chat_id)
    # One look for both choices, so that they end at the same number.
    until = min(after + messages.ERASED_AT_ONCE, erasure.last_seq(session, chat_id))
    if not deletion.keep_texts:
        erased = messages.erase_some(
            session, chat_id, sender_id=user_id, after=after, now=now
        )
        deletion.messages += erased.deleted
    session.execute(
        update(Message)
        .where(
            Message.chat_id == chat_id,
            Message.seq > after,
            Message.seq <= until,
            Message.sender_id == user_id,
            Message.client_id.is_not(None),
        )
        .values(client_id=None),
        execution_options=_UNSYNCHRONIZED,
    )
    of_user = ClientId.chat_id == chat_id, ClientId.sender_id == user_id
    some = select(ClientId.client_id).where(*of_user).limit(CLIENT_IDS_AT_ONCE)
    names = session.scalars(some).all()
    session.execute(
        delete(ClientId).where(*of_user, ClientId.client_id.in_(names)),
        execution_options=_UNSYNCHRONIZED,
    )
    left = Departure.chat_id == chat_id, Departure.user_id == user_id
    session.execute(delete(Departure).where(*left), execution_options=_UNSYNCHRONIZED)
    deletion.after_nth = max(until, after)
    is_last = until >= erasure.last_seq(session, chat_id)
    return is_last and len(names) < CLIENT_IDS_AT_ONCE


def _failures(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    """Behind a job and a device. Failures have no index by device, so all are read."""
    if not deletion.remembered:
        return True
    job_id, device_id = deletion.after_id, deletion.after_nth
    if not job_id and _may_be_pushing(session, deletion, now):
        deletion.due_at = now + PUSH_PAUSE
        return False
    rows = session.execute(
        select(PushFailure.job_id, PushFailure.device_id, PushFailure.reason)
        .where(
            PushFailure.job_id >= job_id,
            or_(PushFailure.job_id > job_id, PushFailure.device_id > device_id),
        )
        .order_by(PushFailure.job_id, PushFailure.device_id)
        .limit(FAILURES_PER_LOOK)
    ).all()
    devices, names = set(deletion.remembered["devices"]), deletion.remembered["names"]
    for row in rows:
        if row.reason and (row.device_id in devices or _has_one(row.reason, names)):
            session.execute(
                update(PushFailure)
                .where(
                    PushFailure.job_id == row.job_id,
                    PushFailure.device_id == row.device_id,
                )
                .values(reason=""),
                execution_options=_UNSYNCHRONIZED,
            )
    if len(rows) < FAILURES_PER_LOOK:
        return True
    deletion.after_id, deletion.after_nth = rows[-1].job_id, rows[-1].device_id
    return False


def _may_be_pushing(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    """Whether an engine may still record how a push to one of the devices ended.

    What it has read since the devices are gone does not have them.
    """
    if now >= deletion.created_at + LONGEST_PUSH:
        return False
    leased = (PushJob.lease_owner > "", PushJob.created_at <= deletion.created_at)
    return session.scalar(select(PushJob.id).where(*leased).limit(1)) is not None


def _has_one(text: str, names: Sequence[str]) -> bool:
    return any(name in text for name in names)


def _jobs(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    """Behind a job."""
    if not deletion.remembered:
        return True
    first, last = session.execute(
        select(func.min(PushJob.id), func.max(PushJob.id)).where(
            PushJob.id > deletion.after_id
        )
    ).one()
    if first is None:
        return True
    until = first + JOBS_PER_LOOK
    rows = session.execute(
        select(PushJob.id, PushJob.error)
        .where(PushJob.id >= first, PushJob.id < until, PushJob.error.is_not(None))
        .order_by(PushJob.id)
    ).all()
    for row in rows:
        if _has_one(row.error, deletion.remembered["names"]):
            platform, colon, _ = row.error.partition(": ")
            is_named = bool(colon) and platform.isalpha()
            session.execute(
                update(PushJob)
                .where(PushJob.id == row.id)
                .values(error=f"{platform}: {ERASED}" if is_named else ERASED),
                execution_options=_UNSYNCHRONIZED,
            )
    deletion.after_id = until - 1
    return bool(until > last)


def _imports(session: Session, deletion: UserDeletion, now: datetime) -> bool:
    """Behind an import, and a line in the next one."""
    if deletion.external_id is None:
        return True
    job = session.scalar(
        select(ImportJob)
        .where(
            ImportJob.id > deletion.after_id,
            # Who is in a later one has been created anew.
            ImportJob.created_at <= deletion.created_at,
        )
        .order_by(ImportJob.id)
        .limit(1)
        .with_for_update()
    )
    if job is None:
        return True
    if job.state == RECEIVING:
        if job.created_at < now - imports.LONGEST_UPLOAD:
            imports.discard(session, job.id)
        else:
            deletion.due_at = now + UPLOAD_PAUSE
        return False
    chunk = session.scalar(
        select(ImportChunk)
        .where(
            ImportChunk.import_id == job.id,
            ImportChunk.first_line > deletion.after_nth,
        )
        .order_by(ImportChunk.first_line)
        .limit(1)
    )
    if chunk is None:
        deletion.after_id, deletion.after_nth = job.id, 0
    else:
        deletion.after_nth = chunk.first_line
        _leave_out(session, job, chunk, deletion.external_id)
    return False


def _leave_out(
    session: Session, job: ImportJob, chunk: ImportChunk, external_id: str
) -> None:
    """Remove the user's rows from a part of an upload."""
    rows = [Row(*row) for row in chunk.rows]
    theirs = [row for row in rows if _user_of(row) == external_id]
    if theirs:
        problems = [Problem(row.line, "", import_rows.DELETED) for row in theirs]
        imports.count_problems(session, job, problems)
        chunk.rows = [row for row in rows if _user_of(row) != external_id]


def _user_of(row: Row) -> str | None:
    return row.values.get("external_id" if row.kind == "user" else "user")


def has_rest(session: Session, user_id: int) -> bool:
    """Whether something has been added to the user after its stage."""
    return any(
        session.scalar(select(model.user_id).where(model.user_id == user_id).limit(1))
        for model in (ApiToken, Device, Member)
    )


Step = Callable[[Session, UserDeletion, datetime], bool]
STEPS: Mapping[str, Step] = {
    ACCESS: _access,
    MEMBERSHIPS: _memberships,
    TEXTS: _texts,
    FAILURES: _failures,
    JOBS: _jobs,
    IMPORTS: _imports,
}
