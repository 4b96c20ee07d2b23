"""A host of a part: a web server and its workers, with a run directory of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes
from tests.support import push_processes
from tests.support.dispatcher_host import KINDS
from tests.support.paths import ROOT
from tests.support.server import Server, free_port
from tests.support.wait import until

HELPERS = ("fork-server",)
GONE_S = 30.0
READY_S = 60.0


class Programs(NamedTuple):
    """What a host runs: commands of a web server and of its workers."""

    web: Sequence[str]
    workers: Sequence[Sequence[str]] = ()
    # Whether the web workers push themselves.
    push_in_web: bool = False


def of_dispatcher(name: str, run_dir: Path) -> Programs:
    kind = KINDS[name]
    workers = [[sys.executable, "-m", *each.split()] for each in kind.workers]
    if kind.host is None:
        web = [sys.executable, "server.py"]
        return Programs(web, workers, push_in_web=name == "thread")
    spool = run_dir / "spool"
    spool.mkdir()
    return Programs(kind.host.replace(" spool ", f" {spool} ").split(), workers)


class Machine:
    """Its processes are found by the run directory in their environment.

    So no signal can reach a process of another program.
    """

    def __init__(
        self,
        run_dir: Path,
        programs: Programs,
        environment: Mapping[str, str],
        *,
        root: Path = ROOT,
        is_older: bool = False,
    ) -> None:
        self.run_dir = run_dir
        self._programs = programs
        # Its code is that of an older commit.
        self._is_older = is_older
        self._environment = {**environment, "BOTTLEPOST_PORT": str(free_port())}
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        # Engines that held a lease once; of uWSGI's processes these are the spoolers.
        self._engines: set[int] = set()
        self._start_server(root)

    def _start_server(self, root: Path) -> None:
        self.root = root
        self.server = Server(
            self.run_dir, self._environment, self._programs.web, wait=False, root=root
        )
        self._environment["BOTTLEPOST_SERVICE_KEY"] = self.server.service_key

    def wait_until_ready(self) -> None:
        until(self.is_ready, READY_S, what=f"for {self.run_dir.name} to be ready")

    def is_ready(self) -> bool:
        with suppress(OSError, HTTPException):
            return self.server.client.get("/readyz").status == 200
        return False

    def supervise(self) -> None:
        """Start what has ended, as a service manager would."""
        if not self.server.is_running():
            self.server.start(wait=False)
        for number, command in enumerate(self._programs.workers):
            worker = self._workers.get(number)
            if worker is None or worker.poll() is not None:
                if worker is not None:
                    self._kill_children(worker.pid)
                self._workers[number] = self._start_worker(command)

    def _start_worker(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        with (self.run_dir / "worker.log").open("ab") as output:
            worker = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.server.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return worker

    def upgrade_if_older(self) -> None:
        """Start the server from this checkout, after that of an older one has ended."""
        if self._is_older:
            self._is_older = False
            self._start_server(ROOT)

    def family(self) -> set[int]:
        """All processes of this host."""
        found = {int(process.name) for process in processes.of(self.run_dir)}
        return {pid for pid in found if push_processes.is_alive(pid)}

    def web_workers(self) -> list[int]:
        """Those that do not push, unless all of them do."""
        workers = self.server.living_workers()
        return [pid for pid in workers if pid not in self._engines] or workers

    def engines(self, lease_owners: set[int]) -> list[int]:
        """The processes that hold leases; if none does, those that could."""
        family = self.family()
        working = lease_owners & family
        self._engines |= working
        if working:
            return sorted(working)
        workers = self.server.living_workers()
        if self._programs.push_in_web:
            return workers
        return sorted(family - {self.server.pid, *workers, *self.helpers()})

    def helpers(self) -> list[int]:
        """The fork servers."""
        return [pid for pid in self.family() if _comm(pid) in HELPERS]

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut would."""
        self._signal_all(signal.SIGKILL)
        self.server.process.wait(GONE_S)
        for worker in self._workers.values():
            worker.wait(GONE_S)
        # A process that was just being started may be missed the first time.
        until(self._is_dead, GONE_S, what=f"for {self.run_dir.name} to be dead")

    def _kill_children(self, leader: int) -> None:
        """What is left of the process group of a worker that has ended."""
        for pid in self.family():
            with suppress(ProcessLookupError):
                if os.getpgid(pid) == leader:
                    send(pid, signal.SIGKILL)

    def _is_dead(self) -> bool:
        self._signal_all(signal.SIGKILL)
        return not self.family()

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self.family():
            send(pid, number)


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _comm(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
