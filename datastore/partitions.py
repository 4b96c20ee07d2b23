"""Months of jobs as partitions, on PostgreSQL: old jobs go at once, with their table.

`push_job` is partitioned by ranges of its id, because ids grow with time and the
primary key has to contain what the ranges are of; `push_failure` has the same ranges
of `job_id`. Each table has these partitions:

- `…_before`: the table as it was;
- `…_2026_11`: the ids from one that was given in that month on;
- `…_next`: the range that follows; it is named when its first id has been given;
- `…_default`: what is in no range, so that an insert never fails.

No foreign key leads to these tables, because PostgreSQL would compare all rows before
it lets go of a partition: a job's failures and shards are deleted by us.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from datastore.migrations import MIGRATION_LOCK
from datastore.statistics import first_job_since
from models.pushes import PushFailure, PushJob

# The tables, and the columns that hold the id of a job.
TABLES = {"push_job": "id", "push_failure": "job_id"}
BEFORE, NEXT, DEFAULT = "before", "next", "default"
MONTH = timedelta(days=30)
# Fewer ids than this are no partition of their own.
LEAST_WIDTH = 100_000
# A change of the tables waits for running transactions, and senders wait for it.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '300ms'"
# A new foreign key needs these, and a send takes its own in this order, too.
LOCK_REFERRED = "LOCK TABLE chat, message IN SHARE ROW EXCLUSIVE MODE"


class Range(NamedTuple):
    """A partition of both tables: the end of their names, and its ids."""

    name: str
    low: int
    # Not included.
    high: int


def are_possible(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def are_used(session: Session) -> bool:
    """Whether the tables are partitioned."""
    if not are_possible(session):
        return False
    kind = text("SELECT relkind FROM pg_class WHERE oid = to_regclass('push_job')")
    return bool(session.scalar(kind) in ("p", b"p"))


def ranges(session: Session) -> list[Range]:
    """The partitions of `push_job` by their ids, without the default one."""
    rows = session.execute(
        text(
            "SELECT relname, pg_get_expr(relpartbound, pg_class.oid) AS bounds"
            " FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'push_job'::regclass"
        )
    ).all()
    found = []
    for row in rows:
        bounds = re.fullmatch(r"FOR VALUES FROM \((.*)\) TO \((.*)\)", row.bounds)
        if bounds is not None:
            low, high = (part.strip("'") for part in bounds.groups())
            name = row.relname.removeprefix("push_job_")
            found.append(Range(name, 0 if low == "MINVALUE" else int(low), int(high)))
    return sorted(found, key=lambda each: each.low)


def width(session: Session, now: datetime) -> int:
    """How many ids a month needs, by the jobs of the last one."""
    since = now - MONTH
    oldest = session.scalar(select(PushJob.created_at).order_by(PushJob.id).limit(1))
    age = min(now - oldest, MONTH) if oldest is not None else MONTH
    count = _last_id(session) + 1 - first_job_since(session, since)
    return max(int(count * (MONTH / max(age, timedelta(hours=1)))), LEAST_WIDTH)


def _last_id(session: Session) -> int:
    """The last id of a job that has been given."""
    sequence = session.scalar(text("SELECT pg_get_serial_sequence('push_job', 'id')"))
    row = session.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()  # noqa: S608 - a name of the catalog
    return int(row.last_value) if row.is_called else 0


def create(session: Session, ids: int, now: datetime) -> None:
    """Make partitioned tables of `push_job` and `push_failure`, with their rows.

    Everything that uses them waits while their rows are read once. Each range has that
    many ids.
    """
    run = session.connection().exec_driver_sql
    run(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    run(LOCK_TIMEOUT)
    run(LOCK_REFERRED)
    run("LOCK TABLE push_job, push_failure IN ACCESS EXCLUSIVE MODE")
    if are_used(session):
        return
    first = _last_id(session) + 1
    for table in TABLES:
        for name in _foreign_keys(session, table, to_jobs=True):
            run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for table, key in TABLES.items():
        _replace(session, table, key)
        run(
            f"ALTER TABLE {table} ATTACH PARTITION {table}_{BEFORE}"
            f" FOR VALUES FROM (MINVALUE) TO ({first})"
        )
        run(f"CREATE TABLE {table}_{DEFAULT} PARTITION OF {table} DEFAULT")
    _add(session, Range(f"{now:%Y_%m}", first, first + ids))
    _add(session, Range(NEXT, first + ids, first + 2 * ids))


def _foreign_keys(session: Session, table: str, *, to_jobs: bool) -> dict[str, str]:
    """Definitions of the foreign keys of a table, by name."""
    which = "=" if to_jobs else "<>"
    found = session.execute(
        text(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"  # noqa: S608 - our own words
            " WHERE conrelid = CAST(:name AS regclass) AND contype = 'f'"
            f" AND confrelid {which} 'push_job'::regclass"
        ),
        {"name": table},
    )
    return {row[0]: row[1] for row in found}


def _replace(session: Session, table: str, key: str) -> None:
    """Make an empty partitioned table in place of this one, which is renamed.

    Its indexes and constraints have the same names, because migrations know them.
    """
    run = session.connection().exec_driver_sql
    foreign_keys = _foreign_keys(session, table, to_jobs=False)
    indexes = session.execute(
        text(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename = :name AND schemaname = current_schema()"
        ),
        {"name": table},
    ).all()
    owned = session.scalar(
        text("SELECT pg_get_serial_sequence(:name, :key)"), {"name": table, "key": key}
    )
    old = f"{table}_{BEFORE}"
    run(f"ALTER TABLE {table} RENAME TO {old}")
    for index in indexes:
        run(f"ALTER INDEX {index.indexname} RENAME TO {index.indexname}_{BEFORE}")
    run(
        f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS)"
        f" PARTITION BY RANGE ({key})"
    )
    if owned is not None:
        run(f"ALTER SEQUENCE {owned} OWNED BY {table}.{key}")
    for name, definition in indexes:
        if name == f"pk_{table}":
            columns = definition[definition.rindex("(") :]
            run(f"ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY {columns}")
        else:
            run(definition)
    for name, definition in foreign_keys.items():
        run(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


def _add(session: Session, new: Range) -> None:
    """Add a partition to both tables; those who write wait only for a moment."""
    run = session.connection().exec_driver_sql
    for table in TABLES:
        name = f"{table}_{new.name}"
        run(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING INDEXES)")
        run(
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ({new.low}) TO ({new.high})"
        )


def go_on(session: Session, now: datetime) -> bool:
    """Name the next partition if it has begun, and add another one behind it.

    Returns whether that was necessary. Any number of processes may call it.
    """
    run = session.connection().exec_driver_sql
    run(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    run(LOCK_TIMEOUT)
    known = ranges(session)
    last_id, ids = _last_id(session), width(session, now)
    begun = next((each for each in known if each.name == NEXT), None)
    if begun is not None and last_id < begun.low:
        return False
    run(LOCK_REFERRED)
    if begun is not None:
        first = session.scalar(
            select(PushJob.created_at)
            .where(PushJob.id >= begun.low)
            .order_by(PushJob.id)
            .limit(1)
        )
        name = _free_name(f"{first or now:%Y_%m}", known)
        for table in TABLES:
            run(f"ALTER TABLE {table}_{NEXT} RENAME TO {table}_{name}")
    low = max(each.high for each in known)
    if last_id >= low:
        # Too late: the default partition has the ids from there on. So the next range
        # begins with ids that will be given after this transaction.
        low = last_id + ids // 10 + 1
    _add(session, Range(NEXT, low, low + ids))
    return True


def _free_name(name: str, known: Sequence[Range]) -> str:
    """A second range that begins in the same month gets a number."""
    taken = {each.name for each in known}
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def old_ranges(session: Session, before: datetime) -> list[Range]:
    """Partitions whose jobs were all added before then and have all ended."""
    first_kept = first_job_since(session, before)
    return [
        each
        for each in ranges(session)
        if each.name != NEXT
        and each.high <= first_kept
        and not _is_in_use(session, each)
    ]


def _is_in_use(session: Session, old: Range) -> bool:
    """Whether a job has not ended, or is a shard of such a job, or waits for one.

    Each job that has not ended is in one of three small indexes.
    """
    of_range = (PushJob.id >= old.low) & (PushJob.id < old.high)
    is_shard = (PushJob.parent_id >= old.low) & (PushJob.parent_id < old.high)
    is_behind = (PushJob.waits_for >= old.low) & (PushJob.waits_for < old.high)
    checks = (
        (PushJob.due_at, of_range & PushJob.due_at.is_not(None)),
        (PushJob.waits_for, of_range & PushJob.waits_for.is_not(None)),
        (PushJob.lease_owner, of_range & PushJob.lease_owner.is_not(None)),
        (PushJob.parent_id, is_shard & PushJob.finished_at.is_(None)),
        (PushJob.waits_for, is_behind),
    )
    # In the order of the small index: without statistics of a partition, the planner
    # would think that most rows fit, and read all of them.
    return any(
        session.scalar(select(PushJob.id).where(which).order_by(column).limit(1))
        is not None
        for column, which in checks
    )


def drop(session: Session, old: Range) -> None:
    """Delete the jobs of a partition, their shards and failures."""
    run = session.connection().exec_driver_sql
    run(LOCK_TIMEOUT)
    later = (PushJob.parent_id >= old.low) & (PushJob.parent_id < old.high)
    shards = session.scalars(
        select(PushJob.id).where(later, PushJob.id >= old.high)
    ).all()
    unsynchronized = {"synchronize_session": False}
    for of_shards in (
        delete(PushFailure).where(PushFailure.job_id.in_(shards)),
        delete(PushJob).where(PushJob.id.in_(shards)),
    ):
        session.execute(of_shards, execution_options=unsynchronized)
    # In the order in which an engine uses them.
    run("LOCK TABLE push_job, push_failure IN ACCESS EXCLUSIVE MODE")
    run(f"DROP TABLE push_job_{old.name}, push_failure_{old.name}")


def in_default(session: Session) -> tuple[int, int] | None:
    """The first and the last job that are in no range; None if there are none."""
    row = session.execute(text("SELECT min(id), max(id) FROM push_job_default")).one()
    return None if row[0] is None else (row[0], row[1])
