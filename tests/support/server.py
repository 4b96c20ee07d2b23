"""A real web server process on a free port of this machine."""

import os
import random
import secrets
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.client import Client
from tests.support.push_processes import is_alive
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
# What a server needs of our own environment to start at all.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


# Below those that the system gives to outgoing connections, so that none of them
# takes a port before its server does; a range for each of the runner's processes.
_RUNNER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 17
PORTS = range(15_000 + 1000 * _RUNNER, 16_000 + 1000 * _RUNNER)
# Given away, but perhaps not in use yet, or not at this moment.
_given: deque[int] = deque(maxlen=len(PORTS) // 2)
# On a machine with much else to do.
START_S = 60.0


def free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        if port in _given:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.append(port)
            return port
    raise AssertionError(f"no free port in {PORTS}")


class Server:
    """`python server.py`, or another host's command, and a client for it.

    In a command's arguments "{port}" stands for the port. With another host the
    database must have been upgraded before.
    """

    def __init__(
        self,
        run_dir: Path,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "server.py"),
        *,
        wait: bool = True,
    ) -> None:
        self.port = free_port()
        self.service_key = secrets.token_hex(16)
        self.run_dir = run_dir
        self.output = run_dir / f"server-{self.port}.log"
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PYTHONPATH": str(ROOT),
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
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.pid = self.process.pid
        if wait:
            until(self._is_ready, START_S, what=f"for {self._command} to be ready")

    def user(self, name: str) -> tuple[int, Client]:
        """A new user's id and a client that speaks for them."""
        made = self.client.post("/users", {"name": name}).json
        return made["id"], self.client.as_user(made["token"])

    def workers(self) -> list[int]:
        """The server's own child processes, where it has some."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def stop(self, timeout_s: float = 60) -> int:
        """Ask it to end, as an operator would; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """End it as a power cut would, its workers too."""
        # Itself first, so that it starts no new worker meanwhile.
        pids = [self.pid, *self.living_workers()]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        # The last of them to go closes the port.
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
        """The same; none when the server itself has ended."""
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
