"""Deletions of users: begun by a request, and carried out in short steps.

The row of the user stays, without anything personal, because messages and jobs refer
to it. Its tokens are worth nothing from the first transaction on, because whoever
looks for a user looks for `deleted_at`.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import delete, null, select, update
from sqlalchemy.orm import Session

from datastore import Datastore, deletion_stages, outages
from models.accounts import DELETED_NAME, SYSTEM, User
from models.base import utc_now
from models.deletions import ACCESS, FILES, REST, STAGES, UserDeletion
from models.errors import NotFound
from models.pushes import COMPLETED, PROCESSING, QUEUED

log = logging.getLogger(__name__)

# Transactions that had seen the user before the deletion have ended after this time,
# and so have older versions' requests. SQLite has one writer at a time.
GRACE = timedelta(minutes=1)
# After an error, and while another program reads SQLite's file.
PAUSE = timedelta(minutes=1)
SHORT_PAUSE = timedelta(seconds=1)


def begin(
    session: Session, user_id: int, *, keep_texts: bool, now: datetime
) -> UserDeletion:
    """The deletion of a user, which has begun now or before.

    Texts that were kept can be erased by another deletion. Raises NotFound.
    """
    # For update: what is being added to the user is there before, or not at all.
    user = session.get(User, user_id, with_for_update={"key_share": True})
    if user is None or user.external_id == SYSTEM:
        raise NotFound("There is no such user.")
    deletion = session.scalar(
        select(UserDeletion).where(UserDeletion.user_id == user_id).with_for_update()
    )
    if deletion is None:
        deletion = UserDeletion(
            user_id=user_id,
            keep_texts=keep_texts,
            state=QUEUED,
            stage=ACCESS,
            due_at=now,
            external_id=user.external_id,
            created_at=now,
        )
        session.add(deletion)
    elif deletion.keep_texts and not keep_texts:
        deletion.keep_texts, deletion.state, deletion.finished_at = False, QUEUED, None
        _go_to(deletion, ACCESS, now)
    _empty(session, user_id, user.deleted_at or now)
    session.flush()
    return deletion


def _empty(session: Session, user_id: int, deleted_at: datetime) -> None:
    session.execute(
        update(User)
        .where(User.id == user_id)
        .values(
            name=DELETED_NAME, external_id=None, avatar_url=None, deleted_at=deleted_at
        )
        .execution_options(synchronize_session=False)
    )


def find(session: Session, deletion_id: int) -> UserDeletion:
    """Raises NotFound."""
    deletion = session.get(UserDeletion, deletion_id)
    if deletion is None:
        raise NotFound
    return deletion


def forget(session: Session, before: datetime, limit: int) -> int:
    """Forget up to `limit` deletions that ended before then; returns their number."""
    ended = select(UserDeletion.id).where(UserDeletion.finished_at < before)
    ids = session.scalars(ended.order_by(UserDeletion.id).limit(limit)).all()
    session.execute(delete(UserDeletion).where(UserDeletion.id.in_(ids)))
    return len(ids)


def go_on(
    store: Datastore, *, with_files: bool = True, grace: timedelta = GRACE
) -> bool:
    """Do a step of the deletion that has waited the longest; False if none is due.

    Any process may call it at any time, also at once with others. `with_files` takes
    care of SQLite's files, too, for which senders wait longer than for other steps.
    Raises the database's errors.
    """
    now = utc_now()
    with store.read() as session:
        is_due = UserDeletion.due_at <= now
        if not with_files:
            is_due &= UserDeletion.stage != FILES
        query = select(UserDeletion.id, UserDeletion.stage).where(is_due)
        row = session.execute(query.order_by(UserDeletion.due_at).limit(1)).first()
    if row is None:
        return False
    try:
        if row.stage == FILES:
            _clean_files(store, row.id)
        else:
            with store.write() as session:
                _step(session, row.id, now, grace)
    except outages.OUTAGES:
        raise
    except Exception:
        # It must not keep other deletions waiting.
        log.exception("deletion %d: cannot go on now", row.id)
        reason = "internal error; see the log"
        with store.write() as session:
            _put_off(session, row.id, now + PAUSE, reason)
    return True


def _locked(session: Session, deletion_id: int, now: datetime) -> UserDeletion | None:
    """The deletion, unless another process is at it."""
    return session.scalar(
        select(UserDeletion)
        .where(UserDeletion.id == deletion_id, UserDeletion.due_at <= now)
        .with_for_update(skip_locked=True)
    )


def _step(session: Session, deletion_id: int, now: datetime, grace: timedelta) -> None:
    deletion = _locked(session, deletion_id, now)
    if deletion is None or deletion.stage == FILES:
        return
    deletion.state, deletion.error, deletion.due_at = PROCESSING, None, now
    is_done = (
        _rest(session, deletion, now, grace)
        if deletion.stage == REST
        else deletion_stages.STEPS[deletion.stage](session, deletion, now)
    )
    if not is_done:
        return
    following = STAGES[STAGES.index(deletion.stage) + 1]
    if following == FILES and session.get_bind().dialect.name != "sqlite":
        _end(deletion, now)
    else:
        _go_to(deletion, following, now)


def _rest(
    session: Session, deletion: UserDeletion, now: datetime, grace: timedelta
) -> bool:
    """Look for what others have added since, and forget what was looked for."""
    is_alone = session.get_bind().dialect.name == "sqlite"
    if not is_alone and now < deletion.created_at + grace:
        deletion.due_at = deletion.created_at + grace
        return False
    if deletion_stages.has_rest(session, deletion.user_id):
        _go_to(deletion, ACCESS, now)
        return False
    # An import may have given it a name again.
    _empty(session, deletion.user_id, deletion.created_at)
    session.execute(
        update(UserDeletion)
        .where(UserDeletion.id == deletion.id)
        .values(external_id=None, remembered=null())
    )
    return True


def _clean_files(store: Datastore, deletion_id: int) -> None:
    """Everything is committed; its former bytes are still in the files."""
    is_clean = store.forget_deleted_bytes()
    with store.write() as session:
        now = utc_now()
        if not is_clean:
            _put_off(session, deletion_id, now + SHORT_PAUSE, None)
            return
        deletion = _locked(session, deletion_id, now)
        # It may have begun again meanwhile.
        if deletion is not None and deletion.stage == FILES:
            _end(deletion, now)


def _go_to(deletion: UserDeletion, stage: str, now: datetime) -> None:
    deletion.stage, deletion.due_at = stage, now
    deletion.after_id = deletion.after_nth = 0


def _end(deletion: UserDeletion, now: datetime) -> None:
    deletion.state, deletion.due_at, deletion.finished_at = COMPLETED, None, now


def _put_off(
    session: Session, deletion_id: int, until: datetime, error: str | None
) -> None:
    session.execute(
        update(UserDeletion)
        .where(UserDeletion.id == deletion_id, UserDeletion.due_at.is_not(None))
        .values(due_at=until, error=error)
    )
