"""Kill everything at random while messages are posted, then look for what is lost.

    python -m benchmarks.chaos [--quick] [--json] [--kills 500] [--seed N]

Victims are the PushProcess, the web server, the sandbox (as Apple and Google) and all
of them at once, as a power cut would. Every message that was answered must reach every
device of its conversation; the sandbox's journal tells which did.
"""

import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from sqlalchemy import select

from benchmarks.report import Report, options
from datastore import Datastore
from datastore.migrations import upgrade
from models.pushes import PushJob
from tests.support import chats, ends, push_processes
from tests.support.sandbox import Sandbox
from tests.support.server import Server

POSTERS = 3
CHATS = (5, 40, 400)
# Between two kills; long enough for work to be begun, too short for peace.
PAUSE_S = (0.05, 0.6)
# A strike that finds nobody is none, and there are at most so many for each that does.
MOST_TRIES = 20
SETTLE_S = 180.0
# After so long what waits for another try is made due: the ladder goes up to an hour,
# and a push that was hit often stands high on it.
PATIENCE_S = 15.0
# A port may be taken for a moment by somebody's connection.
START_TRIES = 5
FAST = {
    "BOTTLEPOST_LEASE_S": "3",
    "BOTTLEPOST_WATCHDOG_S": "0.5",
    "BOTTLEPOST_PUSH_LINGER_S": "2",
}


@dataclass
class ChaosRun:
    """A server, a sandbox, and conversations with their senders' tokens."""

    run_dir: Path
    journal: Path
    sandbox: Sandbox
    server: Server
    store: Datastore
    # Conversation → its members' device tokens, the sender's left out.
    audiences: dict[int, set[str]]
    senders: dict[int, str]
    # Message id → conversation: what has been answered.
    answered: dict[int, int] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


def set_up(run_dir: Path) -> ChaosRun:
    journal = run_dir / "journal"
    sandbox = Sandbox(run_dir / "sandbox", journal=journal).start()
    store = Datastore(f"sqlite:///{run_dir}/bottlepost.db")
    upgrade(store)
    audiences = {}
    for size in CHATS:
        chat = chats.make_chat(store, size, platforms=("apns", "fcm"))
        audiences[chat] = chats.tokens_of(store, chat)
    server = Server(run_dir, {**sandbox.environment, **FAST})
    senders = {}
    for chat in audiences:
        user = chats.sender_of(store, chat)
        senders[chat] = server.client.post(f"/users/{user}/tokens").json["token"]
    return ChaosRun(run_dir, journal, sandbox, server, store, audiences, senders)


def post_until_the_end(chaos: ChaosRun, number: int, rng: random.Random) -> None:
    """Post messages; one that got no answer is posted again under the same name."""
    count = 0
    while not chaos.ended.is_set():
        chat = rng.choices(list(chaos.audiences), weights=[60, 30, 10])[0]
        client = chaos.server.client.as_user(chaos.senders[chat])
        body = {
            "conversation": chat,
            "message": f"message {count}",
            "client_id": f"{number}-{count}",
        }
        count += 1
        while not chaos.ended.is_set():
            with suppress(OSError, ValueError, HTTPException):
                reply = client.post("/groupchat/send", body)
                if reply.status in (200, 201):
                    with chaos.lock:
                        chaos.answered[reply.json["message"]["id"]] = chat
                    break
            client.close()
            chaos.ended.wait(0.05)
        client.close()
        chaos.ended.wait(rng.uniform(0.05, 0.4))


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_push_process(chaos: ChaosRun) -> bool:
    """Whether one was there: after several deaths the next comes after a pause."""
    pids = push_processes.living(chaos.run_dir)
    for pid in pids:
        kill(pid)
    return bool(pids)


def kill_web_worker(chaos: ChaosRun) -> bool:
    """Its host starts another one."""
    pids = chaos.server.living_workers()
    for pid in pids:
        kill(pid)
    return bool(pids)


def supervise(chaos: ChaosRun) -> None:
    """What an init system does: the host gives up when its workers die in a row."""
    if not chaos.server.is_running():
        start(chaos, chaos.server.start)


def start(chaos: ChaosRun, begin: Callable[[], object]) -> None:
    """Start what was killed, again if it does not come up."""
    for _ in range(START_TRIES - 1):
        try:
            begin()
        except (AssertionError, OSError) as problem:
            print(f"  started again: {str(problem)[:200]}", flush=True)
            chaos.ended.wait(1)
        else:
            return
    begin()


def kill_sandbox(chaos: ChaosRun) -> bool:
    chaos.sandbox.kill()
    chaos.ended.wait(0.2)
    start(chaos, chaos.sandbox.restart)
    return True


def cut_the_power(chaos: ChaosRun) -> bool:
    chaos.server.kill()
    kill_push_process(chaos)
    chaos.sandbox.kill()
    start(chaos, chaos.sandbox.restart)
    start(chaos, chaos.server.start)
    return True


VICTIMS: dict[str, tuple[Callable[[ChaosRun], bool], int]] = {
    "PushProcess": (kill_push_process, 50),
    "web worker": (kill_web_worker, 25),
    "sandbox": (kill_sandbox, 15),
    "everything": (cut_the_power, 10),
}


def settle(chaos: ChaosRun) -> int:
    """Wait until no job is open; returns how many are when patience ends."""
    began_at = time.monotonic()
    hurried_at = began_at
    while left := chats.open_jobs(chaos.store):
        now = time.monotonic()
        if now - began_at > SETTLE_S:
            break
        if now - hurried_at > PATIENCE_S:
            hurried_at = now
            hurry(chaos)
        supervise(chaos)
        threading.Event().wait(0.2)
    return left


def hurry(chaos: ChaosRun) -> None:
    """What waits for another try is due now."""
    query = select(PushJob.id).where(PushJob.finished_at.is_(None))
    with chaos.store.read() as session:
        open_jobs = list(session.scalars(query))
    for job_id in open_jobs:
        ends.has_let_time_pass(chaos.store, job_id)


def count_pushes(chaos: ChaosRun) -> Counter[tuple[int, str]]:
    """How often each (message, device) was accepted, by the sandbox's journal."""
    pushed: Counter[tuple[int, str]] = Counter()
    with chaos.journal.open() as lines:
        for line in lines:
            _, _, _, _, token, _, mark, *_ = json.loads(line)
            # What replaces an earlier notification is named "message-<its id>".
            pushed[int(mark.rpartition("-")[2]), token] += 1
    return pushed


def run(kills: int, seed: int, report: Report) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(
        prefix="bottlepost-chaos-", ignore_cleanup_errors=True
    ) as name:
        chaos = set_up(Path(name))
        posters = [
            threading.Thread(
                target=post_until_the_end,
                args=(chaos, number, random.Random(seed + number)),
            )
            for number in range(POSTERS)
        ]
        try:
            for poster in posters:
                poster.start()
            struck = strike(chaos, kills, rng)
            chaos.ended.set()
            for poster in posters:
                poster.join(60)
            left = settle(chaos)
            judge(chaos, struck, left, report)
        finally:
            chaos.ended.set()
            chaos.server.stop()
            kill_push_process(chaos)
            chaos.sandbox.stop()


def strike(chaos: ChaosRun, kills: int, rng: random.Random) -> Counter[str]:
    struck: Counter[str] = Counter()
    names = list(VICTIMS)
    weights = [weight for _, weight in VICTIMS.values()]
    for _ in range(kills * MOST_TRIES):
        chaos.ended.wait(rng.uniform(*PAUSE_S))
        name = rng.choices(names, weights=weights)[0]
        if VICTIMS[name][0](chaos):
            struck[name] += 1
        supervise(chaos)
        if struck.total() == kills:
            break
    return struck


def judge(chaos: ChaosRun, struck: Counter[str], left: int, report: Report) -> None:
    pushed = count_pushes(chaos)
    expected = {
        (message, token)
        for message, chat in chaos.answered.items()
        for token in chaos.audiences[chat]
    }
    lost = len(expected - pushed.keys())
    twice = sum(count - 1 for count in pushed.values())
    kills = struck.total()
    for name, count in struck.items():
        report.row(killed=name, times=count)
    report.row(
        messages=len(chaos.answered),
        pushes=len(expected),
        lost=lost,
        repeated=twice,
        repeated_per_kill=twice / max(kills, 1),
        jobs_left=left,
    )
    report.goal("pushes lost", lost, at_most=0)
    report.goal("jobs left unfinished", left, at_most=0)
    report.goal("repeated pushes per kill", twice / max(kills, 1), at_most=1000)


def main() -> None:
    chosen = options(__doc__ or "", kills=500, seed=20261121)
    report = Report("Chaos: SIGKILL at random moments while messages are posted")
    run(20 if chosen.quick else chosen.kills, chosen.seed, report)
    report.print(as_json=chosen.json)


if __name__ == "__main__":
    main()
