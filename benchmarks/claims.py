"""The cost of a look at the outbox, and of a claim, with more and more jobs due.

    python -m benchmarks.claims [--quick] [--json] [--most 100000]

Jobs of one conversation, of eight and of very many are due, and the first of each
conversation is free or under the lease of another engine. A look asks whether anything
can be claimed now; a claim takes up to 64 jobs with their devices.

Then as many jobs pass through the outbox while another transaction stays open, so that
PostgreSQL cannot remove what they leave behind in the indexes. A look then is that of
an engine, which begins where its last one found something; a full look, once a second,
reads what is left behind.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, insert, select, text

from benchmarks.report import Report, median, options
from datastore import Datastore, migrations
from datastore.outbox import due_work, progress
from models.accounts import User
from models.base import utc_now
from models.chats import Chat, Message
from models.pushes import AT_ONCE, MESSAGE, PROCESSING, QUEUED, PushJob
from notifier.engine.claimer import LookFloor
from tests.support import databases
from tests.support.outbox import ended

DATABASES = ("sqlite", "postgresql")
LEAST, MOST, MOST_QUICK = 10, 100_000, 10_000
MANY_CHATS = 10_000
BITE = 64
LOOKS, CLAIMS = 201, 7
# How much slower a look may be with the most jobs than with the least.
GOAL = 1.5
LEASE = timedelta(hours=1)
# That of the jobs that pass: their leases end during the run, as those of engines do.
SHORT_LEASE = timedelta(seconds=10)
# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")


def main() -> None:
    chosen = options(__doc__ or "", most=0)
    most = chosen.most or (MOST_QUICK if chosen.quick else MOST)
    report = Report("Looks at the outbox and claims, by the number of jobs due")
    for database in DATABASES:
        with _store(database) as store:
            measure(report, store, database, most)
            measure_left_behind(report, store, database, most)
    report.print(as_json=chosen.json)


@contextmanager
def _store(database: str) -> Iterator[Datastore]:
    SCRATCH.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="claims-", dir=SCRATCH)).resolve()
    store = Datastore(databases.fresh_url(database, scratch))
    try:
        migrations.upgrade(store)
        with store.write() as session:
            now = utc_now()
            session.add(User(name="a sender", created_at=now))
            session.execute(
                insert(Chat),
                [{"name": "a chat", "created_at": now} for _ in range(MANY_CHATS)],
            )
        yield store
    finally:
        store.close()
        shutil.rmtree(scratch)


def measure(report: Report, store: Datastore, database: str, most: int) -> None:
    """Fill the outbox in several ways, and compare the least with the most jobs."""
    ratios = []
    for chats, is_leased in ((1, True), (8, True), (8, False), (MANY_CHATS, False)):
        looks = {}
        for due in sorted({LEAST, 1000, most}):
            fill(store, due, min(chats, due), is_leased=is_leased)
            looks[due] = _look_us(store)
            report.row(
                database=database,
                due=due,
                chats=min(chats, due),
                heads="leased" if is_leased else "free",
                look_us=looks[due],
                claim_us_a_job="-" if is_leased else _claim_us(store),
            )
        ratios.append(looks[most] / looks[LEAST])
    name = f"{database}: a look at {most:,} ÷ at {LEAST} jobs due, the worst"
    report.goal(name, max(ratios), at_most=GOAL)


def measure_left_behind(
    report: Report, store: Datastore, database: str, most: int
) -> None:
    """Looks while nothing is removed of the jobs that have passed."""
    fill(store, LEAST, LEAST, is_leased=False)
    before = _engines_look_us(store)
    with store.read() as old:
        if store.is_sqlite:
            old.execute(select(Chat.id).limit(1))
        else:
            old.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            old.execute(text("SELECT txid_current()"))
        # Each waits behind no other, so each has been where a look begins.
        fill(store, most, min(most, MANY_CHATS), is_leased=False)
        _work_off(store)
        idle = _engines_look_us(store)
        add(store, LEAST, LEAST, is_leased=False)
        after, full = _engines_look_us(store), _look_us(store)
        claim_us = _claim_us(store)
    report.row(
        database=database,
        passed=most,
        look_us=after,
        claim_us_a_job=claim_us,
        look_ratio=after / before,
        idle_look_us=idle,
        full_look_us=full,
    )
    name = f"{database}: a look after {most:,} jobs, an old transaction open ÷ before"
    report.goal(name, max(after, idle) / before, at_most=GOAL)


def fill(store: Datastore, due: int, chats: int, *, is_leased: bool) -> None:
    """Leave exactly that many jobs in the outbox."""
    with store.write() as session:
        session.execute(delete(PushJob))
        session.execute(delete(Message))
    add(store, due, chats, is_leased=is_leased)


def add(store: Datastore, due: int, chats: int, *, is_leased: bool) -> None:
    """Add messages to the chats in turn, as fast as the database takes them."""
    now = utc_now()
    with store.write() as session:
        first = 1 + (session.scalar(select(PushJob.id).order_by(-PushJob.id)) or 0)
        ids = range(first, first + due)
        message = {"sender_id": 1, "text": "Land in sight", "created_at": now}
        session.execute(
            insert(Message),
            [
                message | {"id": k, "chat_id": 1 + (k - first) % chats, "seq": k}
                for k in ids
            ],
        )
        job = {
            "kind": MESSAGE,
            "holds_chat": True,
            "created_at": now,
            "expires_at": now + LEASE,
        }
        rows = []
        for k in ids:
            is_head = k < first + chats
            leased = is_head and is_leased
            rows.append(
                job
                | {
                    "id": k,
                    "message_id": k,
                    "chat_id": 1 + (k - first) % chats,
                    "state": PROCESSING if leased else QUEUED,
                    "waits_for": None if is_head else k - chats,
                    "lease_owner": "another engine" if leased else None,
                    "due_at": (now + LEASE if leased else AT_ONCE) if is_head else None,
                }
            )
        session.execute(insert(PushJob), rows)
    if not store.is_sqlite:
        with store.engine.connect() as connection:
            connection.execute(text("ANALYZE push_job"))
            connection.commit()


def _look_us(store: Datastore) -> float:
    def look() -> None:
        with store.read() as session:
            due_work.next_due(session)

    return median([_took_s(look) for _ in range(LOOKS)]) * 1e6


def _engines_look_us(store: Datastore) -> float:
    """A look as an engine takes it: it begins where the last one found something."""
    floor = LookFloor()

    def look() -> None:
        now, begins = utc_now(), floor.take()
        with store.read() as session:
            due = due_work.next_due(session, begins)
        floor.raise_to(due.floor(begins, now))

    return median([_took_s(look) for _ in range(LOOKS)]) * 1e6


def _claim_us(store: Datastore) -> float:
    """The time of a claim for each claimed job; every claim is given back."""
    times = []
    for _ in range(CLAIMS):
        found = []
        took_s = _took_s(lambda found=found: found.extend(_take(store).jobs))
        times.append(took_s / len(found))
        with store.write() as session:
            due_work.release_owner(session, "us")
    return median(times) * 1e6


def _take(
    store: Datastore, *, chain: int = 0, lease: timedelta = LEASE
) -> due_work.Taken:
    return due_work.take(
        store, "us", limit=BITE, chain=chain, shards=1, with_imports=True, lease=lease
    )


def _work_off(store: Datastore) -> None:
    """Claim and end all jobs, as an engine does."""
    while jobs := _take(store, chain=512, lease=SHORT_LEASE).jobs:
        now = utc_now()
        steps = [ended(job.claim.job_id) for job in jobs]
        with store.write() as session:
            progress.record(
                session, "us", steps, now=now, lease_until=now + SHORT_LEASE
            )


def _took_s(work: Callable[[], object]) -> float:
    started_at = time.perf_counter()
    work()
    return time.perf_counter() - started_at


if __name__ == "__main__":
    main()
