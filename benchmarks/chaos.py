"""Kill processes at random while messages are posted, then count what is lost.

    python -m benchmarks.chaos [--quick] [--json] [--kills 500] [--seed N]

Targets are the PushProcess, the web server, the sandbox (in place of Apple and Google)
and all of them at once, as in a power cut. Every message that was answered must reach
every device of its conversation, which the sandbox's journal shows.
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
from tests.support import chats, device_outcomes, push_processes
from tests.support.sandbox import Sandbox
from tests.support.server import Server

POSTERS = 3
CHATS = (5, 40, 400)
# Between two kills: long enough for work to begin, too short for all of it to end.
PAUSE_S = (0.05, 0.6)
# A target may not be running just then, which does not count as a kill.
TRIES_PER_KILL = 20
SETTLE_S = 180.0
# How often waiting retries are made due at the end, because their delay grows up to an
# hour with the number of failures.
RETRY_DELAY_S = 15.0
# A connection may occupy the port for a moment.
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
    # Conversation → its members' device tokens, without the sender's.
    audiences: dict[int, set[str]]
    senders: dict[int, str]
    # Message id → conversation, for each message that was answered.
    answered: dict[int, int] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


def prepare(run_dir: Path) -> ChaosRun:
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


def post_messages(chaos: ChaosRun, number: int, rng: random.Random) -> None:
    """Post messages; a message without an answer is posted again with its client id."""
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
    """Whether one was running: after several crashes the next starts after a pause."""
    pids = push_processes.living(chaos.run_dir)
    for pid in pids:
        kill(pid)
    return bool(pids)


def kill_web_worker(chaos: ChaosRun) -> bool:
    """Whether one was running; its host starts another one."""
    pids = chaos.server.living_workers()
    for pid in pids:
        kill(pid)
    return bool(pids)


def supervise(chaos: ChaosRun) -> None:
    """Restart the host, which ends if many workers die in a row."""
    if not chaos.server.is_running():
        start(chaos, chaos.server.start)


def start(chaos: ChaosRun, begin: Callable[[], object]) -> None:
    """Start what was killed, with several attempts."""
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


def kill_everything(chaos: ChaosRun) -> bool:
    chaos.server.kill()
    kill_push_process(chaos)
    chaos.sandbox.kill()
    start(chaos, chaos.sandbox.restart)
    start(chaos, chaos.server.start)
    return True


TARGETS: dict[str, tuple[Callable[[ChaosRun], bool], int]] = {
    "PushProcess": (kill_push_process, 50),
    "web worker": (kill_web_worker, 25),
    "sandbox": (kill_sandbox, 15),
    "everything": (kill_everything, 10),
}


def settle(chaos: ChaosRun) -> int:
    """Wait until all jobs have ended; returns how many have not after SETTLE_S."""
    began_at = time.monotonic()
    retried_at = began_at
    while left := chats.open_jobs(chaos.store):
        now = time.monotonic()
        if now - began_at > SETTLE_S:
            break
        if now - retried_at > RETRY_DELAY_S:
            retried_at = now
            retry_now(chaos)
        supervise(chaos)
        threading.Event().wait(0.2)
    return left


def retry_now(chaos: ChaosRun) -> None:
    """Make all waiting retries due."""
    query = select(PushJob.id).where(PushJob.finished_at.is_(None))
    with chaos.store.read() as session:
        open_jobs = list(session.scalars(query))
    for job_id in open_jobs:
        device_outcomes.try_make_retries_due(chaos.store, job_id)


def count_pushes(chaos: ChaosRun) -> Counter[tuple[int, str]]:
    """How often the sandbox accepted each (message, device), by its journal."""
    pushed: Counter[tuple[int, str]] = Counter()
    with chaos.journal.open() as lines:
        for line in lines:
            _, _, _, _, token, _, mark, *_ = json.loads(line)
            # The collapse id of a push is "message-<id of the message>".
            pushed[int(mark.rpartition("-")[2]), token] += 1
    return pushed


def run(kills: int, seed: int, report: Report) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(
        prefix="bottlepost-chaos-", ignore_cleanup_errors=True
    ) as name:
        chaos = prepare(Path(name))
        posters = [
            threading.Thread(
                target=post_messages,
                args=(chaos, number, random.Random(seed + number)),
            )
            for number in range(POSTERS)
        ]
        try:
            for poster in posters:
                poster.start()
            killed = kill_at_random(chaos, kills, rng)
            chaos.ended.set()
            for poster in posters:
                poster.join(60)
            left = settle(chaos)
            evaluate(chaos, killed, left, report)
        finally:
            chaos.ended.set()
            chaos.server.stop()
            kill_push_process(chaos)
            chaos.sandbox.stop()


def kill_at_random(chaos: ChaosRun, kills: int, rng: random.Random) -> Counter[str]:
    killed: Counter[str] = Counter()
    names = list(TARGETS)
    weights = [weight for _, weight in TARGETS.values()]
    for _ in range(kills * TRIES_PER_KILL):
        chaos.ended.wait(rng.uniform(*PAUSE_S))
        name = rng.choices(names, weights=weights)[0]
        if TARGETS[name][0](chaos):
            killed[name] += 1
        supervise(chaos)
        if killed.total() == kills:
            break
    return killed


def evaluate(chaos: ChaosRun, killed: Counter[str], left: int, report: Report) -> None:
    pushed = count_pushes(chaos)
    expected = {
        (message, token)
        for message, chat in chaos.answered.items()
        for token in chaos.audiences[chat]
    }
    lost = len(expected - pushed.keys())
    twice = sum(count - 1 for count in pushed.values())
    kills = killed.total()
    for name, count in killed.items():
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
