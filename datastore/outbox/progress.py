"""Writing down how far jobs have come: many jobs, one transaction, one fsync."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, update
from sqlalchemy.orm import Session

from datastore.outbox import leases
from models.accounts import Device
from models.pushes import COMPLETED, FAILED, PROCESSING, PushFailure, PushJob, Target


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A device that did not accept; `next_attempt_at` None makes it final."""

    device_id: int
    outcome: str
    reason: str
    attempts: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What an outcome changes on the device itself, if it is still the same token."""

    target: Target
    disable: bool = False
    reason: str | None = None
    environment: str | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One job's state after some more outcomes; counters are totals, not steps."""

    job_id: int
    cursor: tuple[int, int]
    fanned_out: bool
    # Answers that are long in coming keep the chat's next message waiting no more.
    gives_way: bool = False
    total: int | None
    accepted: int
    failed: int
    error: str | None
    # Devices that the fan-out has met for the first time and that did not accept.
    new_failures: Sequence[Failure] = field(default=())
    # Devices tried again that did not accept this time either.
    changed_failures: Sequence[Failure] = field(default=())
    # Devices tried again that accepted.
    resolved: Sequence[int] = field(default=())
    # Devices (ids) that there is no reason to try again.
    dropped: Sequence[int] = field(default=())
    # The same for all that still wait.
    drop_all: bool = False
    marks: Sequence[Mark] = field(default=())
    # None keeps the lease; a time gives it back, to be claimed then.
    release_until: datetime | None = None
    # COMPLETED or FAILED ends the job.
    end: str | None = None

    @property
    def has_failures(self) -> bool:
        """Whether there is anything to be said about devices that did not accept."""
        lists = self.new_failures, self.changed_failures, self.resolved, self.dropped
        return self.drop_all or any(lists)


def record(
    session: Session,
    owner: str,
    steps: Sequence[Step],
    *,
    now: datetime,
    lease_until: datetime,
) -> set[int]:
    """Write the steps of all jobs that are still ours; returns those that are not."""
    ours = leases.still_ours(session, owner, [step.job_id for step in steps])
    kept = [step for step in steps if step.job_id in ours]
    for ends_order, statement in ((False, _GO_ON), (True, _END_ORDER)):
        rows = [
            _job_row(step, owner, now, lease_until)
            for step in kept
            if _ends_order(step) is ends_order
        ]
        if rows:
            session.connection().execute(statement, rows)
    for step in kept:
        if step.has_failures:
            _record_failures(session, step)
    _mark_devices(session, [mark for step in kept for mark in step.marks], now)
    return {step.job_id for step in steps} - ours


# What a step changes in its job, as parameters of the same names.
_CHANGES = (
    "cursor_user",
    "cursor_device",
    "fanned_out",
    "total",
    "accepted",
    "failed",
    "error",
    "state",
    "due_at",
    "lease_owner",
    "finished_at",
)
_GO_ON = (
    update(PushJob)
    .where(PushJob.id == bindparam("job"))
    .values({name: bindparam(name) for name in _CHANGES})
)
_END_ORDER = _GO_ON.values(ordering_key=None)


def _ends_order(step: Step) -> bool:
    """Whether later messages of its chat need not wait for this job any more."""
    return step.fanned_out or step.gives_way or step.end is not None


def _job_row(
    step: Step, owner: str, now: datetime, lease_until: datetime
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
        # A phone that changes hands during the fan-out is met twice: under the user it
        # belonged to, and under the one it belongs to now.
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
    """Compare and set: a token that was registered again meanwhile is a new one."""
    if not marks:
        return
    table = Device.__table__
    session.connection().execute(
        update(table)  # type: ignore[arg-type]
        .where(
            table.c.id == bindparam("b_id"),
            table.c.token == bindparam("b_token"),
            table.c.registered_at == bindparam("b_registered_at"),
            # What has been found dead stays dead, whatever another job was told.
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
