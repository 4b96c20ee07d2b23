"""A web worker reduced to its dispatcher and a few sockets; `start` runs it.

Like many small apps, this script has no `__main__` guard: a child that runs it a second
time, to unpickle something, writes a second line to `mains` and opens a second server.
"""

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from config import Settings
from notifier.dispatchers.process import ProcessDispatcher
from tests.support.fake_engine import FakeEngines
from tests.support.paths import ROOT


class WebWorker:
    """Controls the script: one command per line, one answer per line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.sockets: list[str] = self._receive()

    def dispatch(self, job_id: int) -> None:
        self._send("dispatch", job_id)

    def exit(self) -> None:
        self._send("exit", 0)

    def _send(self, command: str, argument: int) -> None:
        self.process.stdin.write(json.dumps([command, argument]) + "\n")
        self.process.stdin.flush()
        self._receive()

    def _receive(self) -> Any:
        return json.loads(self.process.stdout.readline())


@contextmanager
def start(settings: Settings):
    """Run the script with pipes for its input and output; kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(asdict(settings), default=str)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    try:
        yield WebWorker(process)
    finally:
        process.kill()
        process.communicate(timeout=60)


def socket_names(pid: int | str) -> list[str]:
    """The names in /proc of the sockets and pipes that a process has open."""
    links = []
    for fd in os.scandir(f"/proc/{pid}/fd"):
        # Another thread of the process may close it meanwhile.
        with suppress(FileNotFoundError):
            links.append(os.readlink(fd.path))
    return [link for link in links if link.startswith(("socket:", "pipe:"))]


def _serve(settings: Settings) -> None:
    with (settings.run_dir / "mains").open("a") as mains:
        mains.write(f"{os.getpid()}\n")
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    served, _ = listener.accept()
    own = [os.readlink(f"/proc/self/fd/{s.fileno()}") for s in (listener, served)]
    own += [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1)]
    dispatcher = ProcessDispatcher(settings, FakeEngines())
    dispatcher.start()
    print(json.dumps(own), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        if command == "dispatch":
            dispatcher.dispatch(argument)
        print("true", flush=True)
        if command == "exit":
            break
    client.close()


if sys.argv[0] == __file__:
    values = json.loads(sys.argv[1])
    values = {
        k: Path(v) if k.endswith(("_dir", "_file")) and v else v
        for k, v in values.items()
    }
    _serve(Settings(**values))
