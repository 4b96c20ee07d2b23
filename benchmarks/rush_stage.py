"""A server with its provider and its conversations, for `benchmarks.rush`."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from benchmarks import processes, push_off
from benchmarks.clients import Load, LoadSender, post_for
from benchmarks.hosts import MeasuredServer
from benchmarks.provider import Arrivals, Provider
from benchmarks.report import percentile
from datastore import Datastore, accounts
from models.base import utc_now
from models.chats import Member
from tests.support import chats, databases

# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")
CLIENTS = 8
# A PushProcess stays warm from one turn to the next.
SETTINGS = {"BOTTLEPOST_PUSH_LINGER_S": "300"}
# How long pushes are waited for after the last send, and then the end of the jobs.
DRAIN_S = 60.0
SETTLE_S = 300.0
POLL_S = 0.1
# Reading a process's memory stops it for a moment.
MEMORY_EVERY_S = 1.0
Figures = dict[str, float]


class Shape(NamedTuple):
    """Conversations of one size; each member has one device."""

    conversations: int
    members: int


class Case(NamedTuple):
    """What a row of the table is measured with."""

    database: str
    shape: Shape
    # The time that the provider takes for its answer.
    delay_ms: float = 0.0

    def __str__(self) -> str:
        count, members = self.shape
        size = f"{count} x {members}" if count > 1 else str(members)
        far = f", {self.delay_ms:g} ms away" if self.delay_ms else ""
        return f"{self.database}, {size}{far}"


class Stage:
    """A server whose pushes go to a provider, or a server with push off."""

    def __init__(
        self, case: Case, run_dir: Path, provider: Provider | None, stack: ExitStack
    ) -> None:
        run_dir.mkdir()
        self.run_dir = run_dir
        self._case = case
        self._provider = provider
        url = databases.fresh_url(case.database, run_dir)
        self._database = _postmaster(url)
        self._store = Datastore(url)
        stack.callback(self._store.close)
        self._senders = fill(self._store, case.shape)
        environment = {**SETTINGS, "BOTTLEPOST_DATABASE_URL": url}
        command: tuple[str, ...] = ("server.py",)
        if provider is None:
            environment["BOTTLEPOST_DISPATCHER"] = push_off.NAME
            command = ("-m", "benchmarks.push_off")
        else:
            environment |= provider.environment
            self._arrivals = Arrivals(provider, case.shape.members - 1)
        self._server = MeasuredServer(run_dir, environment, *command)
        stack.callback(self._server.stop)

    def post(self, seconds: float, per_second: float = 0.0) -> Load:
        """Post with all clients, as fast as they get answers or at a rate."""
        port = self._server.port
        return post_for(seconds, port, self._senders, CLIENTS, per_second=per_second)

    def rest_mib(self) -> float:
        """Memory with a warm engine that has nothing to do, after a few messages."""
        self.post(0.5, per_second=20)
        self.settle()
        return processes.memory_mib(self.run_dir)

    def rush(self, seconds: float, per_second: float = 0.0) -> Figures:
        """Post for some seconds, and wait until everything has been pushed."""
        assert self._provider is not None
        before, pushes = self._cpu_s(), self._provider.pushes()
        with processes.MemoryWatch(self.run_dir, MEMORY_EVERY_S) as memory:
            load = self.post(seconds, per_second)
            sent = self._cpu_s()
            complete = self._arrivals.wait(load.message_ids, DRAIN_S)
            waited_until = time.monotonic()
            after, pushes = self._cpu_s(), self._provider.pushes() - pushes
            self.settle()
        figures = figures_of(load, complete, waited_until)
        answered, pushed = len(load.answers), max(len(complete), 1)
        return figures | {
            "worker_ms": (sent["web worker"] - before["web worker"]) / answered * 1000,
            "engine_ms": (after["PushProcess"] - before["PushProcess"]) / pushed * 1000,
            "database_ms": (after["database"] - before["database"]) / answered * 1000,
            "provider_us": (after["provider"] - before["provider"])
            / max(pushes, 1)
            * 1e6,
            "worker_cores": (sent["web worker"] - before["web worker"])
            / load.elapsed_s,
            "engine_cores": (sent["PushProcess"] - before["PushProcess"])
            / load.elapsed_s,
            "foreign_cores": (sent["foreign"] - before["foreign"]) / load.elapsed_s,
            "peak_mib": memory.most_mib,
        }

    @property
    def repeated(self) -> int:
        return self._arrivals.repeated

    def settle(self) -> None:
        """Wait until no job is open, so that the next turn begins without a backlog."""
        deadline = time.monotonic() + SETTLE_S
        while left := chats.open_jobs(self._store):
            if time.monotonic() > deadline:
                print(f"  {self._case}: {left} jobs are left", flush=True)
                return
            time.sleep(POLL_S)

    def _cpu_s(self) -> dict[str, float]:
        assert self._provider is not None
        found = processes.cpu_by_name(self.run_dir)
        found["provider"] = processes.family_cpu_s(self._provider.pid)
        pid = self._database
        found["database"] = processes.family_cpu_s(pid) if pid else 0.0
        clients = sum(os.times()[:4])
        ours = sum(found.values()) + clients
        return found | {"foreign": processes.machine_cpu_s() - ours}


def figures_of(
    load: Load, complete: Mapping[int, float], waited_until: float
) -> Figures:
    """Rates and delays, from the arrivals of the complete messages.

    A message that was not pushed to all counts as pushed at the end of the wait.
    """
    ended_at = max(answer.answered_at for answer in load.answers)
    delays_s = [
        complete.get(answer.message_id, waited_until) - answer.sent_at
        for answer in load.answers
    ]
    meanwhile = sum(at <= ended_at for at in complete.values())
    last = max(complete.values(), default=waited_until)
    unpushed = len(load.answers) - len(complete)
    return {
        "answered_per_s": load.per_second,
        "pushed_per_s": meanwhile / load.elapsed_s,
        "pushed_ratio": meanwhile / len(load.answers),
        "last_push_p50_ms": percentile(delays_s, 50) * 1000,
        "last_push_p99_ms": percentile(delays_s, 99) * 1000,
        "drain_s": max((waited_until if unpushed else last) - ended_at, 0.0),
        "unpushed": unpushed,
    }


@contextmanager
def running(case: Case) -> Iterator[tuple[Stage, Stage, Provider]]:
    """A server and the same server with push off, each with a database of its own."""
    with ExitStack() as stack:
        SCRATCH.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="rush-", dir=SCRATCH)).resolve()
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        provider = Provider(scratch / "provider", case.delay_ms)
        stack.callback(provider.stop)
        ours = Stage(case, scratch / "process", provider, stack)
        off = Stage(case, scratch / "off", None, stack)
        yield ours, off, provider


def fill(store: Datastore, shape: Shape) -> list[LoadSender]:
    """Create the conversations, with tokens of members to post as."""
    tokens = [_tokens(store, shape.members) for _ in range(shape.conversations)]
    if store.is_postgresql:
        # As autovacuum does within a minute; without it the planner takes a table that
        # has just been filled for an empty one.
        with store.write() as session:
            session.execute(text("ANALYZE"))
    return in_turn(tokens)


def in_turn(members: Sequence[Sequence[LoadSender]]) -> list[LoadSender]:
    """Each client writes to all conversations in turn, given the members of each.

    The clients begin at different conversations and write as different members, as far
    as there are enough.
    """
    senders = []
    for turn in range(len(members)):
        for client in range(CLIENTS):
            start = client * len(members) // CLIENTS
            mine = members[(start + turn) % len(members)]
            senders.append(mine[client % len(mine)])
    return senders


def _tokens(store: Datastore, members: int) -> list[LoadSender]:
    chat_id = chats.make_chat(store, members - 1)
    with store.write() as session:
        users = session.scalars(
            select(Member.user_id).where(Member.chat_id == chat_id).limit(CLIENTS)
        ).all()
        return [
            LoadSender(accounts.issue_token(session, user, utc_now())[0], chat_id)
            for user in users
        ]


def _postmaster(url: str) -> int | None:
    """The first process of a PostgreSQL server on this machine; None for SQLite."""
    directory = make_url(url).query.get("host")
    if not isinstance(directory, str):
        return None
    with suppress(OSError):
        return int((Path(directory) / "postmaster.pid").read_text().split()[0])
    print(f"no PostgreSQL in {directory}: its CPU time is missing", file=sys.stderr)
    return None
