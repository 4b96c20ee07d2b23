"""A measurement of the whole engine, in a process of its own.

    python -m benchmarks.push_engine RUN_DIR URL CA_FILE [--database-url URL]

Pushes the outbox of the database, by default RUN_DIR's (see `fill`): claims, fans out,
sends and records. Prints pushes per second, the CPU time of a push and the peak memory
of the process, as JSON.
"""

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import (
    ColumnElement,
    Text,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)

from config import Settings
from datastore import Datastore
from datastore import kinds as stored_kinds
from datastore.migrations import upgrade
from models import kinds
from models.accounts import Device, User
from models.base import utc_now
from models.chats import Chat, Member
from notifier.engine import collect_rarely, loop
from tests.support import chats


def fill(
    run_dir: Path,
    members: int,
    database_url: str | None = None,
    *,
    locales: Sequence[str] = (),
) -> None:
    """Create a conversation of members with a device each, and post a message to it.

    With locales, the devices have them in turn, and messages are of a kind with a text
    for each of them.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    store = Datastore(database_url or _sqlite(run_dir))
    upgrade(store)
    now = utc_now()
    with store.write() as session:
        session.add(Chat(id=1, name="the whole town", created_at=now))
    # By the database itself, which takes a fifth of the time.
    numbers = select(literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(
        select(numbers.c.n + 1).where(numbers.c.n <= literal_column(str(members)))
    )
    n = numbers.c.n
    token = func.printf("%064x", n)
    if not store.is_sqlite:
        token = func.lpad(func.to_hex(n), 64, "0")
    rows: dict[Any, dict[str, Any]] = {
        User: {"id": n, "name": literal("u").concat(cast(n, Text)), "created_at": now},
        Member: {
            "chat_id": 1,
            "user_id": n,
            "role": "member",
            "joined_seq": 0,
            "read_seq": 0,
        },
        Device: {
            "user_id": n,
            "platform": "apns",
            "token": token,
            "token_hash": token,
            "environment": "production",
            "registered_at": now,
        },
    }
    for model, values in rows.items():
        columns = [
            value
            if isinstance(value, ColumnElement)
            else literal(value, model.__table__.c[name].type)
            for name, value in values.items()
        ]
        with store.write() as session:
            session.execute(insert(model).from_select(list(values), select(*columns)))
    if locales:
        _define_kind(store, locales)
    with store.write() as session:
        # As the database does it from time to time.
        session.execute(text("ANALYZE"))
    chats.post(store, 1, text="Land in sight")
    store.close()


def _define_kind(store: Datastore, locales: Sequence[str]) -> None:
    patterns = {locale: {"title": f"{{sender}} ({locale})"} for locale in locales}
    definition = {"patterns": {"default": {"title": "{sender}"}, **patterns}}
    turns = {n: locale for n, locale in enumerate(locales)}
    locale = case(turns, value=Device.user_id % len(locales))
    with store.write() as session:
        stored_kinds.save(session, "message", kinds.check(definition), utc_now())
        session.execute(update(Device).values(locale=locale))


def _sqlite(run_dir: Path) -> str:
    return f"sqlite:///{run_dir}/bottlepost.db"


def settings(
    run_dir: Path, url: str, ca_file: str, database_url: str | None = None
) -> Settings:
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
        database_url=database_url or _sqlite(run_dir),
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
    parser.add_argument("--database-url")
    chosen = parser.parse_args()
    given = settings(chosen.run_dir, chosen.url, chosen.ca_file, chosen.database_url)
    # As in a PushProcess.
    gc.freeze()
    collect_rarely()
    worker = loop.build(given, owner="benchmark")
    wall, cpu = time.perf_counter(), time.process_time()
    uvloop.run(worker.run(linger_s=0, wake=asyncio.Event()))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    accepted = _accepted(given.database_url)
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


def _accepted(database_url: str) -> int:
    """The number of the job's row, which includes only recorded pushes."""
    from datastore.outbox import job_status

    store = Datastore(database_url)
    with store.read() as session:
        found = job_status.find(session, 1)
    if found is None or found.state != "completed" or found.failed:
        raise SystemExit(f"the job did not complete: {found}")
    return found.accepted


if __name__ == "__main__":
    main()
