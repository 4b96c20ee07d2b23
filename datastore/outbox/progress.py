"""Records the progress of many jobs in one transaction, with one fsync."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, case, delete, insert, select, update
from sqlalchemy.orm import Session

from datastore import mariadb, postgresql
from datastore.outbox import order
from datastore.prepared import Link, Prepared, Row, link_of, run_plain
from datastore.prepared_lists import Ids, PreparedForIds
from models.accounts import Device
from models.pushes import COMPLETED, FAILED, PROCESSING, PushFailure, PushJob, Target


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A device that has not accepted; it is final if `next_attempt_at` is None."""

    device_id: int
    outcome: str
    reason: str
    attempts: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A change of the device itself, made only if it still has the same token."""

    target: Target
    disable: bool = False
    reason: str | None = None
    environment: str | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One job's progress since its last step; counters are totals, not differences."""

    job_id: int
    # Which claim of the job this is a step of; None means any.
    attempts: int | None = None
    cursor: tuple[int, int]
    fanned_out: bool
    # The jobs behind it may start although some devices have not answered.
    lets_pass: bool = False
    total: int | None
    accepted: int
    failed: int
    error: str | None
    # Devices by platform and outcome, as text; totals, too.
    outcomes: str | None = None
    # Devices that did not accept at their first try, in the fan-out.
    new_failures: Sequence[Failure] = field(default=())
    # Devices whose retry was not accepted either.
    changed_failures: Sequence[Failure] = field(default=())
    # Devices (ids) whose retry was accepted.
    resolved: Sequence[int] = field(default=())
    # Devices (ids) whose retry has become pointless.
    dropped: Sequence[int] = field(default=())
    # Drops all devices that wait for a retry.
    drop_all: bool = False
    marks: Sequence[Mark] = field(default=())
    # None keeps the lease; a time gives it back, and the job is due then.
    release_until: datetime | None = None
    # COMPLETED or FAILED ends the job.
    end: str | None = None

    def behind(self, earlier: "Step") -> "Step":
        """One step for this one and an earlier one of the job, not recorded yet."""
        return replace(
            self,
            lets_pass=self.lets_pass or earlier.lets_pass,
            new_failures=[*earlier.new_failures, *self.new_failures],
            changed_failures=[*earlier.changed_failures, *self.changed_failures],
            resolved=[*earlier.resolved, *self.resolved],
            dropped=[*earlier.dropped, *self.dropped],
            drop_all=self.drop_all or earlier.drop_all,
            marks=[*earlier.marks, *self.marks],
        )

    @property
    def is_done(self) -> bool:
        """Whether the jobs behind it need not wait for it any more."""
        return self.fanned_out or self.lets_pass or self.end is not None

    @property
    def has_failures(self) -> bool:
        """Whether rows of `push_failure` change."""
        lists = self.new_failures, self.changed_failures, self.resolved, self.dropped
        return self.drop_all or any(lists)


class Recorded(NamedTuple):
    """What else the engine has to know about its record."""

    # Jobs whose step was not written, because another engine has them now.
    lost: set[int]
    # Jobs whose step was not written, because a sender is adding a job behind them: it
    # has to be recorded again.
    deferred: set[int]
    # Jobs that have become due, if there are any, have this id or a higher one.
    due_from: int | None = None


def record(
    session: Session,
    owner: str,
    steps: Sequence[Step],
    *,
    now: datetime,
    lease_until: datetime,
) -> Recorded:
    """Write the steps of jobs that are still ours; let the jobs behind them pass.

    A step is refused, too, if the job was given back and claimed again since: this is
    the second try of a step that gave it back, whose first answer was lost.
    """
    link = link_of(session)
    jobs = {step.job_id: step.attempts for step in steps}
    rows, locked = _lock_ours(link, list(jobs), owner)
    ours = {
        row[0]: order.Front(*row)
        for *row, attempts in rows
        if jobs[row[0]] in (None, attempts)
    }
    done = [ours[step.job_id] for step in steps if step.is_done and step.job_id in ours]
    fronts = [front for front in done if front.holds_chat]
    passing = order.lock(session, fronts) if fronts else []
    deferred = {front.job_id for front in fronts} - {front.job_id for front in passing}
    deferred |= locked
    kept = [
        step for step in steps if step.job_id in ours and step.job_id not in deferred
    ]
    is_done = {front.job_id for front in done}
    row_of = partial(_job_row, owner=owner, now=now, lease_until=lease_until)
    ended = [row_of(step) for step in kept if step.job_id in is_done]
    _UPDATE_DONE.each(link, ended)
    passed = order.let_pass(session, owner, passing, lease_until) if passing else []
    # After it, because a job that it let pass has its own due time again.
    others = [row_of(step) for step in kept if step.job_id not in is_done]
    _UPDATE.each(link, others)
    with_failures = [step for step in kept if step.has_failures]
    if with_failures and link.dialect.name == "postgresql":
        # What says "later" is written only here: the engine would go on without it if
        # the server crashed now and forgot its last commits.
        run_plain(link, postgresql.PATIENT)
    for step in with_failures:
        _record_failures(session, step)
    _mark_devices(session, [mark for step in kept for mark in step.marks], now)
    # A job is behind one with a lower id.
    given_back = [step.job_id for step in kept if step.release_until is not None]
    due_from = min([*passed, *given_back], default=None)
    return Recorded(jobs.keys() - ours.keys() - locked, deferred, due_from)


def _lock_ours(
    link: Link, ids: Sequence[int], owner: str
) -> tuple[list[Row], set[int]]:
    """Lock our jobs among these; also returns those that have to be left alone.

    On MariaDB, the lock of a sender that adds a job behind one of ours excludes this
    one (`order.py`), and nothing waits for that.
    """
    mine = {"owner": owner}
    if not mariadb.is_spoken(link.dialect):
        return _OURS.all(link, ids, mine), set()
    rows = _OURS_FREE.all(link, ids, mine)
    missing = set(ids) - {row[0] for row in rows}
    still_ours = _OURS_SEEN.all(link, list(missing), mine)
    return rows, {job_id for job_id, *_ in still_ours}


def _select_ours(ids: Ids) -> Select[Any]:
    columns: tuple[Any, ...] = (*order.FRONT_COLUMNS, PushJob.attempts)
    return (
        select(*columns)
        .where(PushJob.id.in_(ids), PushJob.lease_owner == bindparam("owner"))
        .order_by(PushJob.id)
    )


_OURS = PreparedForIds(lambda ids: _select_ours(ids).with_for_update(key_share=True))
_OURS_FREE = PreparedForIds(
    lambda ids: _select_ours(ids).with_for_update(skip_locked=True)
)
_OURS_SEEN = PreparedForIds(_select_ours)
# The columns that a step changes in its job, each with a parameter of the same name.
_CHANGES = (
    "cursor_user",
    "cursor_device",
    "fanned_out",
    "total",
    "accepted",
    "failed",
    "error",
    "outcomes",
    "state",
    "due_at",
    "lease_owner",
    "finished_at",
)
_CHANGE = (
    update(PushJob)
    .where(PushJob.id == bindparam("job"))
    .values({name: bindparam(name) for name in _CHANGES})
)
_UPDATE_DONE = Prepared(_CHANGE.values(holds_chat=False, waits_for=None))
# A job that waits for another one has no due time.
_DUE_AT = bindparam("due_at", type_=PushJob.due_at.type)
_UPDATE = Prepared(_CHANGE.values(due_at=case((PushJob.waits_for.is_(None), _DUE_AT))))


def _job_row(
    step: Step, *, owner: str, now: datetime, lease_until: datetime
) -> dict[str, Any]:
    row = {
        "job": step.job_id,
        "cursor_user": step.cursor[0],
        "cursor_device": step.cursor[1],
        "fanned_out": step.fanned_out,
        "total": step.total,
        "accepted": step.accepted,
        "failed": step.failed,
        "error": step.error,
        "outcomes": step.outcomes,
        "state": step.end or PROCESSING,
        "due_at": lease_until,
        "lease_owner": owner,
        "finished_at": None,
    }
    if step.release_until is not None:
        row |= {"due_at": step.release_until, "lease_owner": None}
    if step.end in (COMPLETED, FAILED):
        row |= {"due_at": None, "lease_owner": None, "finished_at": now}
    return row


def _record_failures(session: Session, step: Step) -> None:
    of_job = PushFailure.job_id == step.job_id
    unsynchronized = {"synchronize_session": False}
    if step.new_failures:
        # A phone that changes its user during the fan-out may be read twice: once for
        # the old user and once for the new one.
        rows = {new.device_id: vars(new) for new in step.new_failures}
        session.execute(
            delete(PushFailure).where(of_job, PushFailure.device_id.in_(rows)),
            execution_options=unsynchronized,
        )
        session.execute(
            insert(PushFailure),
            [{"job_id": step.job_id} | row for row in rows.values()],
        )
    if step.changed_failures:
        session.execute(
            update(PushFailure),
            [{"job_id": step.job_id} | vars(row) for row in step.changed_failures],
        )
    if step.resolved:
        session.execute(
            delete(PushFailure).where(of_job, PushFailure.device_id.in_(step.resolved)),
            execution_options=unsynchronized,
        )
    if step.dropped or step.drop_all:
        which = (
            PushFailure.next_attempt_at.is_not(None)
            if step.drop_all
            else PushFailure.device_id.in_(step.dropped)
        )
        session.execute(
            update(PushFailure).where(of_job, which).values(next_attempt_at=None),
            execution_options=unsynchronized,
        )


def _mark_devices(session: Session, marks: Sequence[Mark], now: datetime) -> None:
    """Compare and set, because a token that was registered again meanwhile is new."""
    if not marks:
        return
    table = Device.__table__
    session.connection().execute(
        update(table)  # type: ignore[arg-type]
        .where(
            table.c.id == bindparam("b_id"),
            table.c.token == bindparam("b_token"),
            table.c.registered_at == bindparam("b_registered_at"),
            # A disabled device stays disabled, whatever another job's outcome says.
            table.c.disabled_at.is_(None),
        )
        .values(
            disabled_at=bindparam("b_disabled_at", type_=table.c.disabled_at.type),
            reason=bindparam("b_reason"),
            environment=bindparam("b_environment"),
        ),
        [
            {
                "b_id": mark.target.device_id,
                "b_token": mark.target.token,
                "b_registered_at": mark.target.registered_at,
                "b_disabled_at": now if mark.disable else None,
                "b_reason": mark.reason,
                "b_environment": mark.environment or mark.target.environment,
            }
            for mark in marks
        ],
    )
