"""Processes that a benchmark measures, each with a run directory of its own."""

import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from demo import push_processes
from demo.api import Api
from demo.child import ROOT, ChildProcess

KEY = "the service key of a benchmark"
START_S = 60.0


def until(done: Callable[[], bool], what: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not after {within_s:.0f} s")
        time.sleep(0.05)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class SandboxProcess:
    """The sandbox, in place of Apple and Google.

    It has the lowest priority, because their servers do not use our CPU.
    """

    def __init__(self, run_dir: Path) -> None:
        ready = run_dir / "sandbox.json"
        arguments = ["-m", "sandbox", "--run-dir", str(run_dir), "--port", "0"]
        self._child = ChildProcess("sandbox", arguments, run_dir / "log", os.environ)
        os.setpriority(os.PRIO_PROCESS, self._child.pid, 19)

        def is_ready() -> bool:
            self._child.check()
            return ready.exists()

        until(is_ready, "the sandbox is ready", START_S)
        self.environment: dict[str, str] = json.loads(ready.read_text())["environment"]

    def stop(self) -> None:
        self._child.stop()


class MeasuredServer:
    """A server on a free port."""

    def __init__(
        self,
        run_dir: Path,
        environment: Mapping[str, str],
        *command: str,
        python: Path = Path(sys.executable),
        cwd: Path = ROOT,
    ) -> None:
        self.port = free_port()
        self._run_dir = run_dir
        environ = {
            **os.environ,
            **environment,
            "BOTTLEPOST_PORT": str(self.port),
            "BOTTLEPOST_RUN_DIR": str(run_dir),
            "BOTTLEPOST_SERVICE_KEY": KEY,
        }
        self._child = ChildProcess(
            "server", command, run_dir / "log", environ, python=python, cwd=cwd
        )
        api = Api(f"http://127.0.0.1:{self.port}")

        def is_ready() -> bool:
            self._child.check()
            return api.is_ready()

        until(is_ready, "the server is ready", START_S)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def database(self) -> Path:
        return self._run_dir / "bottlepost.db"

    def has_work(self) -> bool:
        """Whether any job has not ended yet."""
        with closing(sqlite3.connect(self.database, timeout=10)) as connection:
            query = "SELECT EXISTS (SELECT 1 FROM push_job WHERE finished_at IS NULL)"
            return bool(connection.execute(query).fetchone()[0])

    def settle(self, within_s: float = 300.0) -> None:
        """Wait until everything has been pushed."""
        until(lambda: not self.has_work(), "all pushes are done", within_s)

    def stop(self) -> None:
        self._child.stop()
        push_processes.stop(self._run_dir)
