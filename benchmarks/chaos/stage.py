"""All that runs during a part: hosts, database, broker and provider."""

import random
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

from benchmarks.chaos import databases, machine
from benchmarks.chaos.clock import ShiftedClock
from benchmarks.chaos.databases import Database
from benchmarks.chaos.machine import Machine
from benchmarks.chaos.parts import RABBITMQ, REDIS, Part
from benchmarks.chaos.watcher import Watcher
from datastore import Datastore, migrations
from tests.support import chats
from tests.support.paths import ROOT
from tests.support.rabbitmq_server import RabbitServer
from tests.support.redis_server import RedisServer
from tests.support.sandbox import Sandbox
from tests.support.server import free_port

LEASE_S = 2.0
CHATS = (3, 20, 150)
START_TRIES = 5
BROKERS = {REDIS: RedisServer, RABBITMQ: RabbitServer}
SETTINGS = {
    "BOTTLEPOST_LEASE_S": f"{LEASE_S:g}",
    "BOTTLEPOST_WATCHDOG_S": "0.5",
    "BOTTLEPOST_PUSH_LINGER_S": "2",
    "BOTTLEPOST_PUSH_SLOTS": "2",
    "BOTTLEPOST_POLL_S": "0.5",
}


class Struck:
    """What can be struck and started again; `close` leaves nothing behind."""

    machines: list[Machine]
    database: Database
    sandbox: Sandbox
    broker: RedisServer | RabbitServer | None
    _stack: ExitStack

    def start_provider(self) -> None:
        self.sandbox.restart()

    def supervise(self) -> None:
        for each in self.machines:
            each.supervise()

    def revive(self) -> None:
        """Start everything that has ended, and wait until every host answers."""
        attempt(self.database.recover)
        if self.broker is not None and not self.broker.is_running():
            attempt(self.broker.start)
        if not self.sandbox.is_running():
            attempt(self.start_provider)
        self.supervise()

    def close(self) -> None:
        self._stack.close()


class Stage(Struck):
    """A running system that may be struck anywhere."""

    def __init__(
        self,
        part: Part,
        directory: Path,
        rng: random.Random,
        *,
        with_clock: bool,
        latency_ms: int = 0,
    ) -> None:
        self._latency_ms = latency_ms
        self.part = part
        self.rng = rng
        self.directory = directory
        self.journal = directory / "journal"
        self.machines: list[Machine] = []
        self.clocks: list[ShiftedClock] = []
        self.broker: RedisServer | RabbitServer | None = None
        self._with_clock = with_clock
        self._stack = ExitStack()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        self.sandbox = Sandbox(self.directory / "sandbox", journal=self.journal)
        self._stack.callback(self.sandbox.kill)
        self.start_provider()
        self.database: Database = databases.create(self.part.database, self.directory)
        self._stack.callback(self.database.close)
        if self.part.broker is not None:
            self.broker = BROKERS[self.part.broker](self.directory)
            self._stack.callback(self.broker.stop)
        self._stack.callback(self._kill_machines)
        if self.part.is_rolling:
            # The older schema first: it is upgraded under its running server.
            self._add_machine(_older_checkout(self.directory))
            self.machines[0].wait_until_ready()
        self.store = Datastore(self.database.direct_url)
        self._stack.callback(self.store.close)
        migrations.upgrade(self.store)
        self.database.watch()
        self.watcher = Watcher(self.database)
        self._stack.callback(self.watcher.stop)
        while len(self.machines) < self.part.hosts:
            self._add_machine(ROOT)
        for each in self.machines:
            each.supervise()
            each.wait_until_ready()
        self._make_chats()

    def _add_machine(self, root: Path) -> None:
        number = len(self.machines)
        environment = {
            **SETTINGS,
            **self.sandbox.environment,
            "BOTTLEPOST_DISPATCHER": self.part.dispatcher,
            "BOTTLEPOST_DATABASE_URL": self.database.url,
            "BOTTLEPOST_MANAGER_ADDRESS": f"127.0.0.1:{free_port()}",
            "BOTTLEPOST_MANAGER_AUTHKEY": "the authkey of a benchmark",
        }
        if self.broker is not None:
            environment["BOTTLEPOST_BROKER_URL"] = self.broker.url
            if self.part.broker == REDIS:
                environment["BOTTLEPOST_REDIS_URL"] = self.broker.url
        if self._with_clock:
            moved = ShiftedClock(self.directory, f"clock-{number}")
            self.clocks.append(moved)
            environment |= moved.environment
        run_dir = self.directory / f"host-{number}"
        run_dir.mkdir()
        programs = machine.of_dispatcher(self.part.dispatcher, run_dir)
        self.machines.append(
            Machine(run_dir, programs, environment, root=root, is_older=root != ROOT)
        )

    def _make_chats(self) -> None:
        self.audiences: dict[int, frozenset[str]] = {}
        self.senders: dict[int, str] = {}
        client = self.machines[-1].server.client
        for size in CHATS:
            chat = chats.make_chat(self.store, size, platforms=("apns", "fcm"))
            self.audiences[chat] = frozenset(chats.tokens_of(self.store, chat))
            user = chats.sender_of(self.store, chat)
            self.senders[chat] = client.post(f"/users/{user}/tokens").json["token"]

    @property
    def urls(self) -> list[str]:
        return [each.server.url for each in self.machines]

    def any_machine(self) -> Machine:
        return self.rng.choice(self.machines)

    def start_provider(self) -> None:
        super().start_provider()
        self.sandbox.control(latency_ms=self._latency_ms)

    def _kill_machines(self) -> None:
        for each in self.machines:
            each.kill()
            each.server.client.close()


def attempt(begin: Callable[[], object]) -> None:
    """Start what was struck, with several tries: a port may be busy for a moment."""
    for number in range(START_TRIES):
        try:
            begin()
            return
        except (AssertionError, OSError, subprocess.SubprocessError) as problem:
            if number == START_TRIES - 1:
                raise
            print(f"  started again: {str(problem)[:200]}", flush=True)
            time.sleep(1)


def _older_checkout(directory: Path) -> Path:
    """This repository as it was before its newest migration."""
    old = directory / "older"
    versions = "datastore/migrations/versions"
    added = _git("log", "-1", "--format=%H", "--diff-filter=A", "--", versions)
    archive = BytesIO(_git("archive", f"{added.decode().strip()}~1"))
    with tarfile.open(fileobj=archive) as packed:
        packed.extractall(old, filter="data")
    shutil.rmtree(old / "tests", ignore_errors=True)
    return old


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
