"""The same strikes against pushing without an outbox, as many servers do it.

The plain chat servers are those of `benchmarks.others`: a process or a thread for each
message, and Celery and RQ as their manuals show them, with a task for each message.
Their senders repeat a message that was not answered, too.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from sqlalchemy.engine import make_url

from benchmarks import postgresql
from benchmarks.chaos import faults, parts
from benchmarks.chaos.databases import PostgresDatabase
from benchmarks.chaos.history import Strike
from benchmarks.chaos.machine import Machine, Programs
from benchmarks.chaos.parts import Part
from benchmarks.chaos.posters import Posters
from benchmarks.chaos.stage import CHATS, Struck
from benchmarks.chaos.strikes import make_strikes
from benchmarks.libraries import FOREIGN
from tests.support.redis_server import RedisServer
from tests.support.sandbox import Sandbox

# Only what a plain way can be struck by; the order is that of a seeded plan.
STRUCK = (
    "kill engine",
    "stop engine",
    "kill web worker",
    "stop web worker",
    "kill provider",
    "stop provider",
    "kill host",
    "kill everything",
    "end backends",
    "restart postmaster",
    "kill broker",
    "stop broker",
)
# If nothing arrives for this time, nothing more will.
QUIET_S = 30.0
SETTLE_S = 120.0
GRANIAN = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
GRANIAN += ["--workers", "1", "--blocking-threads", "8", "--log-level", "warning"]
# Its workers are replaced, as ours are.
GRANIAN += ["--no-ws", "--respawn-failed-workers"]


class Way(NamedTuple):
    """How a plain way is run, by this interpreter."""

    web: str
    workers: tuple[tuple[str, ...], ...] = ()
    push_in_web: bool = False
    needs_redis: bool = False


CELERY = ("-m", "celery", "--app", "celery_push.celery", "worker")
WAYS = {
    "process-per-send": Way("process_per_send:app"),
    "thread-per-send": Way("thread_per_send:app", push_in_web=True),
    "celery": Way(
        "celery_push:app", ((*CELERY, "--loglevel", "WARNING"),), needs_redis=True
    ),
    "rq": Way("rq_push:app", ((str(FOREIGN / "rq_worker.py"),),) * 2, needs_redis=True),
}


class PlainMachine(Machine):
    """A host of a plain way, which has no page that says that it is ready."""

    def is_ready(self) -> bool:
        try:
            self.server.client.get("/")
        except OSError:
            return False
        return True


class _NoWatcher:
    """There are no leases."""

    lease_owners: set[int] = set()  # noqa: RUF012 - never filled


class PlainStage(Struck):
    """A plain way that can be struck as a Stage can."""

    def __init__(self, name: str, directory: Path, rng: random.Random) -> None:
        way = WAYS[name]
        self.part = Part(name, parts.POSTGRESQL)
        self.rng = rng
        self.clocks: list[Any] = []
        self.watcher = _NoWatcher()
        self.journal = directory / "journal"
        self.machines: list[Machine] = []
        self.broker: RedisServer | None = None
        self._stack = ExitStack()
        try:
            self._start(way, directory)
        except BaseException:
            self.close()
            raise

    def _start(self, way: Way, directory: Path) -> None:
        self.sandbox = Sandbox(directory / "sandbox", journal=self.journal)
        self._stack.callback(self.sandbox.kill)
        self.start_provider()
        self.database = PostgresDatabase(directory)
        self._stack.callback(self.database.close)
        if way.needs_redis:
            self.broker = RedisServer(directory)
            self._stack.callback(self.broker.stop)
        self._fill()
        run_dir = directory / "host-0"
        run_dir.mkdir()
        programs = Programs(
            [sys.executable, *GRANIAN, "--port", "{port}", way.web],
            [[sys.executable, *worker] for worker in way.workers],
            push_in_web=way.push_in_web,
        )
        host = PlainMachine(run_dir, programs, self._environment(), root=FOREIGN)
        self._stack.callback(host.kill)
        self.machines.append(host)
        host.supervise()
        host.wait_until_ready()

    def _environment(self) -> dict[str, str]:
        url = make_url(self.database.url)
        sandbox = self.sandbox.environment
        key = Path(sandbox["BOTTLEPOST_APNS_KEY_FILE"]).read_text()
        token = jwt.encode(
            {"iss": sandbox["BOTTLEPOST_APNS_TEAM_ID"], "iat": int(time.time())},
            key,
            algorithm="ES256",
            headers={"kid": sandbox["BOTTLEPOST_APNS_KEY_ID"]},
        )
        return {
            "PGHOST": str(url.host),
            "PGPORT": str(url.port),
            "PGUSER": str(url.username),
            "PGDATABASE": str(url.database),
            "RIVAL_PROVIDER": str(self.sandbox.port),
            "RIVAL_CA_FILE": str(self.sandbox.ca_file),
            "RIVAL_APNS_TOKEN": token,
            "RIVAL_APNS_TOPIC": sandbox["BOTTLEPOST_APNS_TOPIC"],
            "RIVAL_ONE_FIRST": "1",
            **({"RIVAL_REDIS": self.broker.url} if self.broker else {}),
        }

    def _fill(self) -> None:
        """Conversations of the same sizes as ours; each member has a device."""
        self.audiences: dict[int, frozenset[str]] = {}
        self.senders: dict[int, str] = {}
        url = make_url(self.database.direct_url)
        with closing(postgresql.connect(url)) as database, database.transaction():
            database.execute((FOREIGN / "chat.sql").read_bytes())
            user = 0
            for chat, size in enumerate(CHATS, 1):
                tokens = []
                for _ in range(size + 1):
                    user += 1
                    tokens.append(f"{user:064x}")
                    row = user, f"user {user}", f"token {user}"
                    database.execute("INSERT INTO account VALUES (%s, %s, %s)", row)
                    database.execute("INSERT INTO member VALUES (%s, %s)", (chat, user))
                    row = user, user, tokens[-1]
                    database.execute("INSERT INTO device VALUES (%s, %s, %s)", row)
                # The last one sends.
                self.senders[chat] = f"token {user}"
                self.audiences[chat] = frozenset(tokens[:-1])

    @property
    def urls(self) -> list[str]:
        return [each.server.url for each in self.machines]

    def any_machine(self) -> Machine:
        return self.machines[0]


def run(name: str, strikes: int, seed: int) -> dict[str, Any]:
    """The row of a plain way."""
    rng = parts.randoms(seed, Part(name, parts.POSTGRESQL))
    with (
        tempfile.TemporaryDirectory(
            prefix="bottlepost-chaos-", ignore_cleanup_errors=True
        ) as directory,
        closing(PlainStage(name, Path(directory), rng)) as stage,
    ):
        posters = Posters(stage.urls, stage.senders, rng, stage.supervise)
        with posters:
            made = make_strikes(stage, faults.plan(stage, strikes, STRUCK), strikes)
        _settle(stage)
        return {"way": name, **_judge(stage, made)}


def _settle(stage: PlainStage) -> None:
    """Wait until nothing arrives any more."""
    began_at = grew_at = time.monotonic()
    size = 0
    while (now := time.monotonic()) - grew_at < QUIET_S and now - began_at < SETTLE_S:
        if (found := stage.journal.stat().st_size) != size:
            size, grew_at = found, now
        stage.supervise()
        time.sleep(0.2)


def _judge(stage: PlainStage, made: Sequence[Strike]) -> dict[str, int]:
    """Messages are told apart by their text: one that was posted again has two ids."""
    rows = stage.database.rows("SELECT id, chat_id, text FROM message")
    texts = {message: text for message, _, text in rows}
    chats = {text: chat for _, chat, text in rows}
    arrived: Counter[tuple[str, str]] = Counter()
    for message, token in _arrivals(stage.journal):
        arrived[texts[message], token] += 1
    expected = {
        (text, token) for text, chat in chats.items() for token in stage.audiences[chat]
    }
    lost = expected - arrived.keys()
    return {
        "strikes": len(made),
        "messages": len(chats),
        "pushes": len(expected),
        "lost": len(lost),
        "messages_with_loss": len({text for text, _ in lost}),
        "doubled": sum(arrived.values()) - len(arrived),
    }


def _arrivals(journal: Path) -> Iterator[tuple[int, str]]:
    """The message and the token of each push."""
    with journal.open() as lines:
        for line in lines:
            found = json.loads(line)
            yield json.loads(found[8])["message"], found[4]
