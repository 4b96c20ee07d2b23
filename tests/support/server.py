"""A real web server process on a free port of this machine."""

import fcntl
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.client import Client
from tests.support.paths import ROOT
from tests.support.push_processes import is_alive
from tests.support.wait import until

# Variables of the environment that a server needs to start.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


# Below the system's ephemeral ports, so that no outgoing connection takes a port before
# its server does.
PORTS = range(15_000, 32_000)
# Locks on assigned ports, which may not be in use yet; they end with this process.
_locks: list[int] = []
# Enough on a busy machine.
START_S = 60.0


def free_port() -> int:
    """A port without a listener that no other test gets."""
    directory = Path(tempfile.gettempdir(), f"bottlepost-ports-{os.getuid()}")
    directory.mkdir(exist_ok=True)
    for port in random.sample(PORTS, 1000):
        lock = os.open(directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        with suppress(OSError), socket.socket() as probe:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind(("127.0.0.1", port))
            _locks.append(lock)
            return port
        os.close(lock)
    raise AssertionError(f"no free port in {PORTS}")


def _is_fork_server(pid: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == "fork-server"


class Server:
    """`python server.py`, or another host's command, and a client for it.

    "{port}" in the command is replaced by the port. Another host needs a database that
    is already upgraded. `root` is the checkout whose code runs.
    """

    def __init__(
        self,
        run_dir: Path,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "server.py"),
        *,
        wait: bool = True,
        root: Path = ROOT,
    ) -> None:
        self._root = root
        self.port = free_port()
        self.service_key = secrets.token_hex(16)
        self.run_dir = run_dir
        self.output = run_dir / f"server-{self.port}.log"
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PYTHONPATH": str(root),
            # A crash of the interpreter says where.
            "PYTHONFAULTHANDLER": "1",
            "BOTTLEPOST_RUN_DIR": str(run_dir),
            "BOTTLEPOST_PORT": str(self.port),
            "BOTTLEPOST_SERVICE_KEY": self.service_key,
            **(environment or {}),
        }
        self.service_key = self.environment["BOTTLEPOST_SERVICE_KEY"]
        self.port = int(self.environment["BOTTLEPOST_PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = Client(self.url, self.service_key)
        self._command = [part.format(port=self.port) for part in command]
        self.start(wait=wait)

    def start(self, *, wait: bool = True) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.pid = self.process.pid
        if wait:
            until(self._is_ready, START_S, what=f"for {self._command} to be ready")

    def user(self, name: str) -> tuple[int, Client]:
        """A new user's id, and a client with the user's token."""
        made = self.client.post("/users", {"name": name}).json
        return made["id"], self.client.as_user(made["token"])

    def workers(self) -> list[int]:
        """The ids of the web workers; the server's other child is its fork server."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split() if not _is_fork_server(pid)]

    def stop(self, timeout_s: float = 60) -> int:
        """Send SIGTERM, as an operator would; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Kill the server and its workers, as a power failure would."""
        # The server first, so that it starts no new worker meanwhile.
        pids = [self.pid, *self.living_workers()]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        # The port is free when the last process has ended.
        until(lambda: not any(map(is_alive, pids)), what="for killed workers to go")

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()

    def is_running(self) -> bool:
        return self.process.poll() is None

    def living_workers(self) -> list[int]:
        """The same; empty if the server has ended."""
        try:
            return self.workers()
        except FileNotFoundError:
            return []

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended at once:\n{self.log()}")
        try:
            return self.client.get("/readyz").status == 200
        except OSError:
            return False
