"""Pruning: its speed, what senders notice of it, and how fast a month of jobs goes.

    python -m benchmarks.retention [--quick] [--json] [--messages 20000] [--turns 5]
                                   [--jobs 10000000] [--only messages|jobs]

In each turn, old messages with ended jobs are added to 100 conversations. One sender
posts for a while, then `bottlepost prune` runs beside it, as a timer runs it.
`send_p50_ms` and `send_p99_ms` are the times of a post without HTTP; the ratios are
those while pruning ÷ without, as medians over the turns.

Then PostgreSQL's tables of jobs are partitioned, and a partition of `--jobs` jobs is
dropped, with a failure for each hundredth job, after a checkpoint, as it is a month
after its rows were written, while one sender posts. For comparison, jobs are deleted
one by one from a table that is not partitioned.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, insert, literal, select, text
from sqlalchemy.orm import Session

from benchmarks.report import Report, median, options, percentile
from datastore import Datastore, chats, messages, partitions, retention
from datastore.posts import Draft
from models.base import utc_now
from models.chats import Chat, Message
from models.pushes import COMPLETED, MESSAGE, PushFailure, PushJob
from notifier import partition
from tests.support import databases
from tests.support.chats import make_chat
from tests.support.paths import ROOT

DATABASES = ("sqlite", "postgresql")
MESSAGES, MESSAGES_QUICK = 20_000, 4_000
TURNS, TURNS_QUICK = 5, 2
JOBS, JOBS_QUICK = 10_000_000, 200_000
CHATS = 100
# How long the sender posts alone in a turn.
ALONE_S, ALONE_S_QUICK = 5.0, 2.0
AGE = timedelta(days=60)
DAYS = 30
# Jobs that are deleted one by one: the size of a batch, and how many of them.
BATCH, BATCHES = 500, 10
# A month of jobs goes within a second; a send is nearly as fast while pruning.
DROP_GOAL_S, P50_GOAL, P99_GOAL = 1.0, 1.5, 3.0
# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")


def main() -> None:
    chosen = options(__doc__ or "", messages=0, turns=0, jobs=0, only="")
    quick = chosen.quick
    report = Report("Pruning, one sender")
    try:
        for database in () if chosen.only == "jobs" else DATABASES:
            with _store(database) as (store, run_dir):
                measure_messages(
                    report,
                    store,
                    database,
                    run_dir,
                    chosen.messages or (MESSAGES_QUICK if quick else MESSAGES),
                    chosen.turns or (TURNS_QUICK if quick else TURNS),
                    ALONE_S_QUICK if quick else ALONE_S,
                )
        if chosen.only != "messages":
            with _store("postgresql") as (store, _):
                jobs = chosen.jobs or (JOBS_QUICK if quick else JOBS)
                measure_jobs(report, store, jobs)
    finally:
        databases.end()
    report.print(as_json=chosen.json)


@contextmanager
def _store(database: str) -> Iterator[tuple[Datastore, Path]]:
    SCRATCH.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="retention-", dir=SCRATCH)).resolve()
    store = Datastore(databases.fresh_url(database, scratch))
    try:
        yield store, scratch
    finally:
        store.close()
        shutil.rmtree(scratch)


def measure_messages(
    report: Report,
    store: Datastore,
    database: str,
    run_dir: Path,
    count: int,
    turns: int,
    alone_s: float,
) -> None:
    """Post alone and beside a run of `prune`, in turns."""
    busy = make_chat(store, 0)
    old = [make_chat(store, 0) for _ in range(CHATS)]
    found: dict[str, list[float]] = {}
    # The first turn warms up, and its figures do not count.
    for turn in range(turns + 1):
        add_old_messages(store, old, count)
        ends_at = time.perf_counter() + alone_s
        alone = send_while(store, busy, lambda end=ends_at: time.perf_counter() < end)
        started_at = time.perf_counter()
        pruning = start_prune(store, run_dir)
        beside = send_while(store, busy, lambda run=pruning: run.poll() is None)
        took_s = time.perf_counter() - started_at
        assert pruning.returncode == 0, pruning.returncode
        if turn:
            figures = {
                "messages_s": count / took_s,
                "send_p50_ms": median(beside) * 1000,
                "send_p99_ms": percentile(beside, 99) * 1000,
                "p50_ratio": median(beside) / median(alone),
                "p99_ratio": percentile(beside, 99) / percentile(alone, 99),
            }
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
    left = count_old(store, old)
    assert left <= 1, left
    middle = {name: median(values) for name, values in found.items()}
    report.row(database=database, messages=count, **middle)
    words = "while pruning ÷ without"
    report.goal(f"{database}: send p50 {words}", middle["p50_ratio"], at_most=P50_GOAL)
    report.goal(f"{database}: send p99 {words}", middle["p99_ratio"], at_most=P99_GOAL)


def add_old_messages(store: Datastore, old: list[int], count: int) -> None:
    """Add messages to these conversations in turn, and jobs that have ended."""
    at = utc_now() - AGE
    with store.write() as session:
        first = 1 + (session.scalar(select(func.max(Message.id))) or 0)
        job = 1 + (session.scalar(select(func.max(PushJob.id))) or 0)
        last = session.execute(select(Chat.id, Chat.last_seq).where(Chat.id.in_(old)))
        seqs = {row[0]: row[1] for row in last}
        rows = []
        for n in range(count):
            chat = old[n % len(old)]
            seqs[chat] += 1
            rows.append(
                {"id": first + n, "chat_id": chat, "seq": seqs[chat], "sender_id": 1}
                | {"text": "Land in sight", "created_at": at}
            )
        session.execute(insert(Message), rows)
        ended = {"kind": MESSAGE, "state": COMPLETED, "created_at": at}
        ended |= {"finished_at": at, "expires_at": at}
        session.execute(
            insert(PushJob),
            [
                ended
                | {"id": job + n, "message_id": row["id"], "chat_id": row["chat_id"]}
                for n, row in enumerate(rows)
            ],
        )
        for chat, seq in seqs.items():
            chats.change(session, chat, {"last_seq": seq})
    if not store.is_sqlite:
        with store.write() as session:
            for table in ("message", "push_job"):
                name = f"{table}_id_seq"
                newest = text(f"SELECT setval('{name}', (SELECT max(id) FROM {table}))")
                session.execute(newest)
            session.execute(text("ANALYZE message, push_job"))


def count_old(store: Datastore, old: list[int]) -> int:
    with store.read() as session:
        left = select(func.count()).where(Message.chat_id.in_(old))
        return session.scalar(left) or 0


def send_while(store: Datastore, chat: int, goes_on: Callable[[], bool]) -> list[float]:
    """Post one message after the other; returns their times in seconds."""
    took_s = []
    while goes_on():
        started_at = time.perf_counter()
        store.write_grouped(lambda session: _post(session, chat))
        took_s.append(time.perf_counter() - started_at)
        # A sender at full speed would be slowed down by any other process.
        time.sleep(0.002)
    return took_s


def _post(session: Session, chat: int) -> None:
    [user] = chats.member_ids(session, chat, limit=1)
    membership = chats.membership(session, chat, user, for_update=True)
    messages.post(session, membership, Draft(text="Land in sight"), utc_now())


def start_prune(store: Datastore, run_dir: Path) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "BOTTLEPOST_DATABASE_URL": store.url.render_as_string(hide_password=False),
        "BOTTLEPOST_SERVICE_KEY": "a key nobody needs here",
        "BOTTLEPOST_RUN_DIR": str(run_dir / "run"),
        "BOTTLEPOST_MESSAGE_DAYS": str(DAYS),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bottlepost", "prune", "--days", str(DAYS)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )


def measure_jobs(report: Report, store: Datastore, jobs: int) -> None:
    """Delete some jobs one by one, and then a partition of very many."""
    add_old_messages(store, [make_chat(store, 0)], BATCH * BATCHES)
    before = utc_now() - timedelta(days=DAYS)
    started_at = time.perf_counter()
    gone = 0
    for _ in range(BATCHES):
        with store.write() as session:
            gone += retention.forget_pushes(session, before, BATCH)
    one_by_one = gone / (time.perf_counter() - started_at)
    with store.write() as session:
        partitions.create(session, jobs, utc_now())
        month = partitions.ranges(session)[1]
    fill(store, month)
    with store.write() as session:
        # An id of the next range, so that this one is over.
        session.execute(text(f"SELECT setval('push_job_id_seq', {month.high + 10})"))
    add_young_job(store)
    with store.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("CHECKPOINT"))
    started_at = time.perf_counter()
    with store.read() as session:
        old = partitions.old_ranges(session, before)
    look_s = time.perf_counter() - started_at
    assert month in old, old
    busy = make_chat(store, 0)
    is_over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        sends = pool.submit(send_while, store, busy, lambda: not is_over.is_set())
        started_at = time.perf_counter()
        partition.patiently(store, lambda session: partitions.drop(session, month))
        drop_s = time.perf_counter() - started_at
        is_over.set()
    longest_s = max(sends.result())
    report.row(
        database="postgresql",
        jobs=jobs,
        failures=jobs // 100,
        look_s=look_s,
        drop_s=drop_s,
        longest_send_s=longest_s,
        deleted_one_by_one_per_s=one_by_one,
    )
    of_jobs = f"a partition of {jobs:,} jobs is dropped"
    report.goal(f"seconds until {of_jobs}", drop_s, at_most=DROP_GOAL_S)
    report.goal(f"longest send while {of_jobs}, s", longest_s, at_most=DROP_GOAL_S)


def fill(store: Datastore, month: partitions.Range) -> None:
    """Fill the range with ended jobs of one message, and failures of some of them."""
    at = utc_now() - AGE
    with store.write() as session:
        message = session.scalar(select(func.min(Message.id)))
        # The rows are right, so they need not be checked one by one.
        session.execute(text("SET LOCAL session_replication_role = replica"))
        ids = func.generate_series(month.low, month.high - 1)
        job = {
            "message_id": message,
            "chat_id": 1,
            "kind": MESSAGE,
            "state": COMPLETED,
            "holds_chat": False,
            "holding_shards": 0,
            "cursor_user": 0,
            "cursor_device": 0,
            "fanned_out": True,
            "total": 5,
            "accepted": 5,
            "failed": 0,
            "attempts": 1,
        }
        names = ["id", *job, "created_at", "started_at", "finished_at", "expires_at"]
        values = [ids, *job.values(), at, at, at, at]
        columns = [PushJob.__table__.c[name] for name in names]
        row = [
            value if value is ids else literal(value, column.type)
            for value, column in zip(values, columns, strict=True)
        ]
        session.execute(
            insert(PushJob).from_select(names, select(*row), include_defaults=False)
        )
        failed = func.generate_series(month.low, month.high - 1, 100)
        failure = {"device_id": 1, "outcome": "gone", "reason": "gone", "attempts": 1}
        session.execute(
            insert(PushFailure).from_select(
                ["job_id", *failure],
                select(failed, *(literal(value) for value in failure.values())),
                include_defaults=False,
            )
        )


def add_young_job(store: Datastore) -> None:
    chat = make_chat(store, 0)
    with store.write() as session:
        _post(session, chat)


if __name__ == "__main__":
    main()
