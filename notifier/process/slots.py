"""The places for PushProcesses on a host: a lock says who owns one, a socket wakes it.

Slot k is `slot-k.lock`, held (flock) and signed with its name by the engine's process,
and `slot-k.sock`, on which that process takes the news that there is work.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from config import SettingsError

# sockaddr_un has room for 107 bytes and a zero.
LONGEST_SOCKET_PATH = 107
WAKE_UP = b"!"


class WakeResult(Enum):
    """What became of the news."""

    # A process has it and looks at the outbox.
    TAKEN = "taken"
    # Every slot has a process, and none of them has room: they look when they have.
    BUSY = "busy"
    # Nobody took it, and at least one slot is free.
    NO_LISTENER = "nobody"


class Slot:
    """A slot in our hands; nobody else touches its socket meanwhile."""

    def __init__(self, lock_fd: int, socket_path: Path) -> None:
        self._lock_fd = lock_fd
        self._socket_path = socket_path
        self._socket: socket.socket | None = None

    @property
    def owner(self) -> str | None:
        """Who signed last; a name we did not write belongs to a process that died."""
        return os.pread(self._lock_fd, 200, 0).decode() or None

    def sign(self, owner: str) -> None:
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, owner.encode(), 0)

    def listen(self) -> socket.socket:
        """From now on news is taken; do this before the first look at the outbox."""
        self._socket_path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._socket_path))
        return self._socket

    def stop_listening(self) -> None:
        """From now on news finds nobody here."""
        if self._socket is not None:
            self._socket_path.unlink(missing_ok=True)
            self._socket.close()
            self._socket = None

    def clear(self) -> None:
        """Take the owner's name away: nothing is left to be tidied up after it."""
        os.ftruncate(self._lock_fd, 0)

    def release(self) -> None:
        os.close(self._lock_fd)


class Slots:
    """All slots of a host. Safe to share between threads, and over a fork."""

    def __init__(self, run_dir: Path, count: int) -> None:
        self._directory = run_dir / "push"
        self.count = count
        longest = os.fsencode(self._socket_path(count))
        if len(longest) > LONGEST_SOCKET_PATH:
            excess = len(longest) - LONGEST_SOCKET_PATH
            raise SettingsError(
                "BOTTLEPOST_RUN_DIR",
                f"is {excess} bytes too long for the Unix sockets in it: {run_dir}",
            )
        self._addresses = [str(self._socket_path(k)) for k in range(count)]
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)

    def wake(self) -> WakeResult:
        """Tell one process that there is work; a few microseconds, never waits.

        Always the first one with room, so that the others can linger out.
        """
        result = WakeResult.BUSY
        for address in self._addresses:
            try:
                self._sender.sendto(WAKE_UP, address)
            except BlockingIOError:
                # A full queue: that process is at capacity and leaves its news unread.
                continue
            except (FileNotFoundError, ConnectionRefusedError):
                result = WakeResult.NO_LISTENER
                continue
            return WakeResult.TAKEN
        return result

    def wake_all(self) -> None:
        """Tell every process, for the first one with room may hang."""
        for address in self._addresses:
            with suppress(OSError):
                self._sender.sendto(WAKE_UP, address)

    def count_listeners(self) -> int:
        """How many processes are up; nobody is woken."""
        count = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            for address in self._addresses:
                with suppress(OSError):
                    probe.connect(address)
                    count += 1
        return count

    def take(self) -> Slot | None:
        """Own a free slot; None when there is none."""
        for number in range(self.count):
            if slot := self._lock(number):
                return slot
        return None

    def abandoned(self) -> Iterator[Slot]:
        """Slots signed by processes that died; each is locked while it is looked at.

        A process that finds a slot locked trusts its holder to look at the outbox,
        so whoever walks through here has to do that afterwards.
        """
        for number in range(self.count):
            with suppress(FileNotFoundError):
                if not self._lock_path(number).stat().st_size:
                    continue
                if slot := self._lock(number):
                    try:
                        yield slot
                    finally:
                        slot.release()

    @contextmanager
    def start_turn(self) -> Iterator[bool]:
        """Whether it is our turn to start a process: one on the host at a time."""
        fd = _try_lock(self._directory / "start.lock")
        try:
            yield fd is not None
        finally:
            if fd is not None:
                os.close(fd)

    def close(self) -> None:
        self._sender.close()

    def _lock(self, number: int) -> Slot | None:
        fd = _try_lock(self._lock_path(number))
        return None if fd is None else Slot(fd, self._socket_path(number))

    def _lock_path(self, number: int) -> Path:
        return self._directory / f"slot-{number}.lock"

    def _socket_path(self, number: int) -> Path:
        return self._directory / f"slot-{number}.sock"


def _try_lock(path: Path) -> int | None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
