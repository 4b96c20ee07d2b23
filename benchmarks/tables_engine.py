"""A run of the engine over what is due in any database, in a process of its own.

    python -m benchmarks.tables_engine DATABASE_URL RUN_DIR SINK_URL CA_FILE SINCE

Pushes all that is due and prints, as JSON, the CPU time and the time of a push, over
the jobs after the job SINCE.
"""

import argparse
import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import uvloop
from sqlalchemy import func, select

from benchmarks import push_engine
from datastore import Datastore
from models.pushes import COMPLETED, PushJob
from notifier.engine import loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database_url")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("sink_url")
    parser.add_argument("ca_file")
    parser.add_argument("since", type=int)
    chosen = parser.parse_args()
    settings = replace(
        push_engine.settings(chosen.run_dir, chosen.sink_url, chosen.ca_file),
        database_url=chosen.database_url,
    )
    store = Datastore(chosen.database_url)
    wall, cpu = time.perf_counter(), time.process_time()
    while _is_open(store, chosen.since):
        # Again only if a push has to be repeated later.
        worker = loop.build(settings, owner="benchmark")
        uvloop.run(worker.run(linger_s=0, wake=asyncio.Event()))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    accepted = _accepted(store, chosen.since)
    store.close()
    figures = {
        "pushes": accepted,
        "cpu_us": cpu / accepted * 1e6,
        "wall_us": wall / accepted * 1e6,
    }
    print(json.dumps(figures))


def _is_open(store: Datastore, since: int) -> bool:
    is_open = select(PushJob.id).where(
        PushJob.id > since, PushJob.finished_at.is_(None)
    )
    with store.read() as session:
        return session.scalar(is_open.limit(1)) is not None


def _accepted(store: Datastore, since: int) -> int:
    counts = select(
        func.count().filter(PushJob.state != COMPLETED),
        func.coalesce(func.sum(PushJob.accepted), 0),
        func.coalesce(func.sum(PushJob.failed), 0),
    )
    with store.read() as session:
        not_completed, accepted, failed = session.execute(
            counts.where(PushJob.id > since)
        ).one()
    if not_completed or failed or not accepted:
        raise SystemExit(f"{not_completed} jobs and {failed} pushes failed")
    return int(accepted)


if __name__ == "__main__":
    main()
