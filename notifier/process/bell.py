"""Bells: web workers with older settings ask those with newer ones to start a process.

A worker's bell is the socket `settings/<generation>-<pid>.sock`, which also shows that
the worker is alive.
"""

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from config import platform

RING = b"!"
CLOSE = b"."
CLOSE_S = 1.0
_NAME = re.compile(r"([0-9a-f]+)-[0-9]+\.sock")


class Bell:
    """A worker's bell: alive once it is open, answered once `listen` was called."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket: socket.socket | None = None
        self._path: Path | None = None
        self._pid = 0
        self._thread: threading.Thread | None = None

    def open(self, number: int) -> None:
        """Show that a worker of this generation is alive."""
        path = self._directory / f"{number:x}-{os.getpid()}.sock"
        if path == self._path:
            return
        if self._pid == os.getpid() and self._path is not None:
            # Our worker has begun a generation again.
            self._path.rename(path)
            self._path = path
            return
        if self._socket is not None:
            # The parent's, from before a fork.
            self._socket.close()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._path, self._pid, self._thread = path, os.getpid(), None

    def listen(self, on_ring: Callable[[], None]) -> None:
        """Call `on_ring` on a thread of its own, whenever another worker rings."""
        if self._socket is not None and self._thread is None:
            arguments = self._socket, on_ring
            self._thread = threading.Thread(
                target=_listen, args=arguments, name="bell", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        if self._socket is None or self._path is None or self._pid != os.getpid():
            return
        if self._thread is not None:
            with suppress(OSError), _sender() as sender:
                sender.sendto(CLOSE, str(self._path))
            self._thread.join(CLOSE_S)
        self._path.unlink(missing_ok=True)
        self._socket.close()
        self._socket = self._path = self._thread = None


def ring(directory: Path, *, above: int) -> bool:
    """Ring at all workers of generations above this one; False if none is alive."""
    found = False
    with _sender() as sender:
        for path in _bells(directory, lambda number: number > above):
            try:
                sender.sendto(RING, str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError as problem:
                # With a full queue, it has been rung at already.
                found |= platform.is_queue_full(problem)
            else:
                found = True
    return found


def is_heard(directory: Path, *, below: int) -> bool:
    """Whether a worker of a generation below this one is alive; rings at none."""
    for path in _bells(directory, lambda number: number < below):
        with _sender() as probe, suppress(OSError):
            probe.connect(str(path))
            return True
    return False


def _bells(directory: Path, is_meant: Callable[[int], bool]) -> Iterator[Path]:
    for path in sorted(directory.glob("*.sock")):
        found = _NAME.fullmatch(path.name)
        if found and is_meant(int(found[1], 16)):
            yield path


def _sender() -> socket.socket:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    return sender


def _listen(sock: socket.socket, on_ring: Callable[[], None]) -> None:
    with suppress(OSError):
        while sock.recv(16) != CLOSE:
            on_ring()
