"""A measurement of the whole engine, in a process of its own.

    python -m benchmarks.push_engine RUN_DIR URL CA_FILE

Pushes the outbox of RUN_DIR's database (see `fill`): claims, fans out, sends and
records. Prints pushes per second, the CPU time of a push and the peak memory of the
process, as JSON.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import insert

from config import Settings
from datastore import Datastore
from datastore.migrations import upgrade
from models.accounts import Device, User
from models.base import utc_now
from models.chats import Chat, Member
from notifier.engine import loop
from tests.support import chats

# Rows of one insert, so that filling needs little memory.
ROWS = 20_000


def fill(run_dir: Path, members: int) -> None:
    """Create a conversation of members with a device each, and post a message to it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    store = Datastore(f"sqlite:///{run_dir}/bottlepost.db")
    upgrade(store)
    now = utc_now()
    with store.write() as session:
        session.add(Chat(id=1, name="the whole town", created_at=now))
    for first in range(1, members + 2, ROWS):
        ids = range(first, min(first + ROWS, members + 2))
        with store.write() as session:
            session.execute(
                insert(User),
                [{"id": i, "name": f"u{i}", "created_at": now} for i in ids],
            )
            session.execute(
                insert(Member),
                [
                    {
                        "chat_id": 1,
                        "user_id": i,
                        "role": "member",
                        "joined_seq": 0,
                        "read_seq": 0,
                    }
                    for i in ids
                ],
            )
            session.execute(
                insert(Device),
                [
                    {
                        "user_id": i,
                        "platform": "apns",
                        "token": f"{i:064x}",
                        "token_hash": f"{i:064x}",
                        "environment": "production",
                        "registered_at": now,
                    }
                    for i in ids
                ],
            )
    chats.post(store, 1, text="Land in sight")
    store.close()


def settings(run_dir: Path, url: str, ca_file: str) -> Settings:
    key_file = run_dir / "apns.p8"
    if not key_file.exists():
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        key_file.write_bytes(key)
    # Not from the environment: a PushProcess gets its settings read and checked.
    return Settings(
        database_url=f"sqlite:///{run_dir}/bottlepost.db",
        run_dir=run_dir,
        service_key="the service key of a benchmark",
        push_slots=1,
        apns_url=url,
        apns_key_file=key_file,
        apns_key_id="ABCDEFGHIJ",
        apns_team_id="KLMNOPQRST",
        apns_topic="com.example.chat",
        ca_file=Path(ca_file),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("url")
    parser.add_argument("ca_file")
    chosen = parser.parse_args()
    worker = loop.build(
        settings(chosen.run_dir, chosen.url, chosen.ca_file), owner="benchmark"
    )
    wall, cpu = time.perf_counter(), time.process_time()
    uvloop.run(worker.run(linger_s=0, wake=asyncio.Event()))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    accepted = _accepted(chosen.run_dir)
    print(
        json.dumps(
            {
                "pushes_per_s": accepted / wall,
                "cpu_us": cpu / accepted * 1e6,
                "wall_us": wall / accepted * 1e6,
                "peak_mib": _peak_mib(),
                "pushes": accepted,
            }
        )
    )


def _peak_mib() -> float:
    """The peak of this process; getrusage would include the process that forked it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _accepted(run_dir: Path) -> int:
    """The number of the job's row, which includes only recorded pushes."""
    from datastore.outbox import job_status

    store = Datastore(f"sqlite:///{run_dir}/bottlepost.db")
    with store.read() as session:
        found = job_status.find(session, 1)
    if found is None or found.state != "completed" or found.failed:
        raise SystemExit(f"the job did not complete: {found}")
    return found.accepted


if __name__ == "__main__":
    main()
