"""Upgrading a filled database while senders post to a server of the old version.

    python -m benchmarks.upgrade [--quick] [--json] [--messages 1000000]
                                 [--only sqlite|postgresql]

For each schema from 0009 on, a database is filled with `--messages` messages and as
many ended jobs. The old version, as git has it, serves four senders, and the new
version runs `bottlepost migrate` beside it. The newest schema is upgraded by two more
migrations: one adds a nullable column to each large table, and a table, and the other
an index on the messages that have a value in the new column.

`alone_p99_ms` and `during_p99_ms` are the times of a post before and during the
command, which also takes the start of a process; `longest_ms` is the longest of the
posts during it, and `errors` are all answers but 201.
"""

import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.report import Report, median, options, percentile
from tests.support import databases, upgrades

DATABASES = ("sqlite", "postgresql")
MESSAGES, MESSAGES_QUICK = 1_000_000, 50_000
# After this time, a sender of SQLite is refused.
LONGEST_GOAL_MS = 5000.0
# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")


def main() -> None:
    chosen = options(__doc__ or "", messages=0, only="")
    messages = chosen.messages or (MESSAGES_QUICK if chosen.quick else MESSAGES)
    report = Report(f"Upgrades of {messages:,} messages, four senders")
    try:
        for database in DATABASES:
            if chosen.only in ("", database):
                for revision in upgrades.revisions():
                    measure(report, database, revision, messages)
    finally:
        databases.end()
    report.print(as_json=chosen.json)


def measure(report: Report, database: str, revision: str, messages: int) -> None:
    SCRATCH.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="upgrade-", dir=SCRATCH)).resolve()
    try:
        url = databases.empty_url(database, scratch)
        started_at = time.perf_counter()
        upgrades.make_filled(url, revision, messages)
        fill_s = time.perf_counter() - started_at
        with upgrades.versions(revision, scratch) as (old, following):
            found = upgrades.upgrade_under_load(url, scratch, old, following)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    longest_ms = max(found.during.times) * 1000
    sends = (found.alone, found.during, found.after)
    errors = sum(sum(each.failures.values()) for each in sends)
    report.row(
        database=database,
        schema=revision,
        fill_s=fill_s,
        migrate_s=found.migrate_s,
        sends=len(found.during.times),
        alone_p50_ms=median(found.alone.times) * 1000,
        alone_p99_ms=percentile(found.alone.times, 99) * 1000,
        during_p50_ms=median(found.during.times) * 1000,
        during_p99_ms=percentile(found.during.times, 99) * 1000,
        longest_ms=longest_ms,
        errors=errors,
    )
    report.goal(f"{database} {revision}: errors of senders", errors, at_most=0)
    report.goal(
        f"{database} {revision}: longest post in ms",
        longest_ms,
        at_most=LONGEST_GOAL_MS,
    )


if __name__ == "__main__":
    main()
