"""Pages of devices, conversations and jobs, for the operator."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from models.accounts import Device
from models.chats import Chat, Member
from models.pushes import FAILED, PushJob


def devices(
    session: Session,
    *,
    after: int,
    limit: int,
    user_id: int | None = None,
    platform: str | None = None,
) -> Sequence[Device]:
    """Devices behind `after` (id), of everybody or of one user."""
    query = select(Device).where(Device.id > after)
    if user_id is not None:
        query = query.where(Device.user_id == user_id)
    if platform is not None:
        query = query.where(Device.platform == platform)
    return session.scalars(query.order_by(Device.id).limit(limit)).all()


def chats(session: Session, *, after: int, limit: int) -> list[tuple[Chat, int]]:
    """Conversations behind `after` (id) that have not ended, with their members."""
    members = (
        select(func.count())
        .select_from(Member)
        .where(Member.chat_id == Chat.id)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Chat, members)
        .where(Chat.id > after, Chat.deleted_at.is_(None))
        .order_by(Chat.id)
        .limit(limit)
    )
    return [(chat, count) for chat, count in rows]


def jobs(
    session: Session,
    *,
    before: int | None,
    limit: int,
    state: str | None = None,
    failing: bool = False,
) -> Sequence[PushJob]:
    """Jobs before that one (id), the newest first; those of shards are left out."""
    query: Select[Any] = select(PushJob).where(PushJob.parent_id.is_(None))
    if before is not None:
        query = query.where(PushJob.id < before)
    if state is not None:
        query = query.where(PushJob.state == state)
    if failing:
        query = query.where(
            or_(PushJob.failed > 0, PushJob.error.is_not(None), PushJob.state == FAILED)
        )
    return session.scalars(query.order_by(PushJob.id.desc()).limit(limit)).all()
