"""Chat servers that push in other ways, with their workers, for `benchmarks.others`."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from benchmarks import libraries, postgresql, rush_stage
from benchmarks.clients import LoadConnection, LoadSender, request_of
from benchmarks.hosts import free_port, until
from benchmarks.libraries import FOREIGN
from benchmarks.provider import Arrivals, Provider
from benchmarks.rush_stage import SETTLE_S, Case, Shape
from demo.child import ChildProcess
from tests.support import tls
from tests.support.redis_server import RedisServer

CORES = os.cpu_count() or 1
# As many web workers as cores, each with a thread for every client.
GRANIAN = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
GRANIAN += ["--workers", str(CORES), "--blocking-threads", str(rush_stage.CLIENTS)]
GRANIAN += ["--log-level", "warning", "--no-ws"]
START_S = 60.0
# How often a rival's processes are looked at while its pushes are waited for.
CHECK_S = 5.0
Command = list[str]


@dataclass(frozen=True)
class Rival:
    """How a rival is run, each command by the interpreter of its library."""

    # The web server; "{port}" is replaced.
    web: Command
    workers: tuple[Command, ...] = ()
    # Prepares the database.
    setup: Command | None = None
    # Modules that it imports from this project's environment.
    needs: tuple[str, ...] = ()
    # The number of its Redis database, if it needs one.
    redis: int | None = None
    # Installs its library if need be, and returns its interpreter and its variables.
    install: Callable[[], tuple[str, dict[str, str]]] | None = None


def _granian(application: str, *options: str) -> Command:
    return [*GRANIAN, *options, "--port", "{port}", application]


def _procrastinate() -> tuple[str, dict[str, str]]:
    return str(libraries.python("procrastinate", "procrastinate.txt")), {}


def _pg_boss() -> tuple[str, dict[str, str]]:
    packages = libraries.node_path("pg-boss", "pg-boss@>=12", "pg@>=8")
    return "node", {"NODE_PATH": str(packages)}


_CELERY = ["-m", "celery", "--app", "celery_push.celery"]
_PROCRASTINATE = ["-m", "procrastinate", "--app", "procrastinate_push.queue"]
_PG_BOSS = str(FOREIGN / "pg_boss_push.cjs")
RIVALS = {
    "in-request": Rival(_granian("in_request:app")),
    "process-per-send": Rival(_granian("process_per_send:app")),
    "celery": Rival(
        _granian("celery_push:app"),
        # It starts as many processes as there are cores.
        ([*_CELERY, "worker", "--loglevel", "WARNING"],),
        needs=("celery", "redis"),
        redis=0,
    ),
    "rq": Rival(
        _granian("rq_push:app"),
        ([str(FOREIGN / "rq_worker.py")],) * CORES,
        needs=("rq", "redis"),
        redis=1,
    ),
    "procrastinate": Rival(
        _granian("procrastinate_push:application", "--factory"),
        ([*_PROCRASTINATE, "worker"],) * CORES,
        setup=[*_PROCRASTINATE, "schema", "--apply"],
        install=_procrastinate,
    ),
    "pg-boss": Rival(
        [_PG_BOSS, "web", "{port}"],
        ([_PG_BOSS, "worker"],) * CORES,
        install=_pg_boss,
    ),
}
# What the plain chat server imports.
PLAIN = ("granian", "h2", "psycopg")


def cannot_run(name: str, *, may_install: bool) -> str:
    """Why a rival cannot be measured here; empty if it can, then it is installed."""
    rival = RIVALS[name]
    if rival.install is None:
        missing = [module for module in (*PLAIN, *rival.needs) if not find_spec(module)]
        return f"needs {', '.join(missing)}" if missing else ""
    if not libraries.is_installed(name) and not may_install:
        return "not installed; a full run installs it"
    try:
        rival.install()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"could not be installed: {error}"
    return ""


class RivalStage:
    """A running rival with a database and a provider of its own."""

    def __init__(
        self,
        name: str,
        run_dir: Path,
        case: Case,
        database: postgresql.Server,
        redis: RedisServer,
        stack: ExitStack,
    ) -> None:
        rival = RIVALS[name]
        run_dir.mkdir()
        self.run_dir = run_dir
        self.provider = Provider(run_dir / "provider", case.delay_ms)
        stack.callback(self.provider.stop)
        self.arrivals = Arrivals(self.provider, case.shape.members - 1)
        url = database.new_database()
        self.database = database.pid
        self.redis = redis.pid if rival.redis is not None else None
        self.senders = _fill(url, case.shape)
        self.port = free_port()
        interpreter, variables = sys.executable, _variables(url, run_dir, self.provider)
        if rival.install is not None:
            interpreter, more = rival.install()
            variables |= more
        if rival.redis is not None:
            redis_url = make_url(redis.url).set(database=str(rival.redis))
            variables["RIVAL_REDIS"] = redis_url.render_as_string()
        self._children: list[ChildProcess] = []
        self._start(rival, interpreter, variables, stack)

    def _start(
        self,
        rival: Rival,
        interpreter: str,
        variables: Mapping[str, str],
        stack: ExitStack,
    ) -> None:
        environ = {**os.environ, **variables}
        if rival.setup is not None:
            with (self.run_dir / "log-setup").open("w") as log:
                subprocess.run(
                    [interpreter, *rival.setup],
                    env=environ,
                    check=True,
                    stdout=log,
                    stderr=log,
                )
        web = [part.format(port=self.port) for part in rival.web]
        for number, command in enumerate([web, *rival.workers]):
            child = ChildProcess(
                f"process {number}",
                command,
                self.run_dir / f"log-{number}",
                environ,
                python=Path(interpreter),
                cwd=self.run_dir,
            )
            stack.callback(child.stop)
            self._children.append(child)
        until(self._is_ready, f"{web} answers", START_S)
        until(self._has_pushed, f"{web} pushes", START_S)

    def _is_ready(self) -> bool:
        self._check()
        try:
            connection = LoadConnection(self.port)
        except OSError:
            return False
        try:
            connection.exchange(request_of(self.senders[0]))
        except (OSError, RuntimeError):
            return False
        finally:
            connection.close()
        return True

    def _has_pushed(self) -> bool:
        self._check()
        return self.provider.pushes() > 0

    def _check(self) -> None:
        for child in self._children:
            child.check()

    def settle(self, sent: set[int]) -> None:
        """Wait until all of these messages have been pushed."""
        deadline = time.monotonic() + SETTLE_S
        while left := len(sent) - len(self.arrivals.wait(sent, CHECK_S)):
            self._check()
            if time.monotonic() > deadline:
                print(f"  {self.run_dir.name}: {left} messages are left", flush=True)
                return


def _variables(database: URL, run_dir: Path, provider: Provider) -> dict[str, str]:
    return {
        # `benchmarks.processes` finds the rival's processes by it.
        "BOTTLEPOST_RUN_DIR": str(run_dir),
        "PYTHONPATH": str(FOREIGN),
        "PGHOST": str(database.query["host"]),
        "PGUSER": database.username or "",
        "PGDATABASE": database.database or "",
        "RIVAL_PROVIDER": str(provider.port),
        "RIVAL_CA_FILE": str(tls.authority().ca_file),
    }


def _fill(url: URL, shape: Shape) -> list[LoadSender]:
    """The same conversations as in our database; each member has one device."""
    accounts, members, senders = [], [], []
    for chat_id in range(1, shape.conversations + 1):
        mine = []
        for _ in range(shape.members):
            account_id, token = len(accounts) + 1, secrets.token_urlsafe(32)
            accounts.append((account_id, f"user {account_id}", token))
            members.append((chat_id, account_id))
            mine.append(LoadSender(token, chat_id))
        senders.append(mine)
    devices = [(user, user, secrets.token_hex(32)) for user, *_ in accounts]
    with postgresql.connect(url) as database, database.transaction():
        database.execute((FOREIGN / "chat.sql").read_bytes())
        cursor = database.cursor()
        for table, rows in (
            (b"account", accounts),
            (b"member", members),
            (b"device", devices),
        ):
            marks = b", ".join([b"%s"] * len(rows[0]))
            cursor.executemany(b"INSERT INTO %b VALUES (%b)" % (table, marks), rows)
    return rush_stage.in_turn(senders)
