"""Slots for engine processes on a host: a lock file names the owner, a socket wakes it.

Slot k is `slot-k.lock`, held (flock) by the engine's process, which writes its name
into it, and `slot-k.sock`, on which that process receives wake-ups.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from config import Settings, SettingsError
from datastore.file_lock import LockFile
from notifier.engine import ANY_JOB, is_job_id

# sockaddr_un has room for 107 bytes and a zero.
LONGEST_SOCKET_PATH = 107
# Worker slots of a host. An engine beyond them has no slot; if it is killed, its
# leases have to expire.
MAX_WORKERS = 64
WAKE_UP = b"!"
# The mark and an id.
LONGEST_WAKE_UP = 1 + 19
# The names that `engine.new_owner` makes: host, pid and a random part.
_OWNER = re.compile(rb"[!-~]{1,200}:[0-9]+:[!-~]{1,40}")


class WakeResult(Enum):
    """The result of sending a wake-up."""

    # A process has it and looks at the outbox.
    TAKEN = "taken"
    # Every slot has a process, and none has room: each looks as soon as it has.
    BUSY = "busy"
    # No process took it, and at least one slot is free.
    NO_LISTENER = "no listener"


class Slot:
    """A slot whose lock we hold; no other process touches its socket meanwhile."""

    def __init__(self, lock: LockFile, socket_path: Path) -> None:
        self._lock = lock
        self._socket_path = socket_path
        self._socket: socket.socket | None = None

    @property
    def owner(self) -> str | None:
        """The recorded owner; if we did not record it, that process was killed.

        None if the file does not hold a name, as after a power cut.
        """
        recorded = os.pread(self._lock.fd, 300, 0)
        return recorded.decode() if _OWNER.fullmatch(recorded) else None

    def set_owner(self, owner: str) -> None:
        os.ftruncate(self._lock.fd, 0)
        os.pwrite(self._lock.fd, owner.encode(), 0)

    def clear_owner(self) -> None:
        os.ftruncate(self._lock.fd, 0)

    def open_socket(self) -> socket.socket:
        """Receive wake-ups from now on; call it before the first look at the outbox."""
        self._socket_path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._socket_path))
        return self._socket

    def close_socket(self) -> None:
        if self._socket is not None:
            self._socket_path.unlink(missing_ok=True)
            self._socket.close()
            self._socket = None

    def release(self) -> None:
        """Leave the slot in order: no socket, no owner, no lock."""
        self.close_socket()
        self.clear_owner()
        self.unlock()

    def unlock(self) -> None:
        """Give up the lock alone; a recorded owner then counts as killed."""
        self._lock.close()


class Slots:
    """All slots of a host. Safe to share between threads, and across a fork."""

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

    def wake(self, job_id: int = ANY_JOB) -> WakeResult:
        """Wake one process for a job; takes a few microseconds and never waits.

        It is always the first one with room, so that the others can end.
        """
        result = WakeResult.BUSY
        wake_up = _wake_up(job_id)
        for address in self._addresses:
            try:
                self._sender.sendto(wake_up, address)
            except BlockingIOError:
                # A full queue: a process at capacity does not read its socket.
                continue
            except (FileNotFoundError, ConnectionRefusedError):
                result = WakeResult.NO_LISTENER
                continue
            return WakeResult.TAKEN
        return result

    def wake_all(self) -> None:
        """Wake every process, because the first one with room may hang."""
        for address in self._addresses:
            with suppress(OSError):
                self._sender.sendto(WAKE_UP, address)

    def count_listeners(self) -> int:
        """The number of processes that receive wake-ups; wakes none of them."""
        count = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            for address in self._addresses:
                with suppress(OSError):
                    probe.connect(address)
                    count += 1
        return count

    def take(self) -> Slot | None:
        """Lock a free slot; None when there is none."""
        for number in range(self.count):
            if slot := self._lock(number):
                return slot
        return None

    def stale(self) -> Iterator[Slot]:
        """Slots whose recorded owner was killed; each is locked while it is yielded.

        A process that finds a slot locked relies on its holder to look at the outbox,
        so the caller has to do that afterwards.
        """
        for number in range(self.count):
            with suppress(FileNotFoundError):
                if not self._lock_path(number).stat().st_size:
                    continue
                if slot := self._lock(number):
                    try:
                        yield slot
                    finally:
                        slot.unlock()

    @contextmanager
    def try_start_lock(self) -> Iterator[bool]:
        """Whether this process may start another one: one at a time on a host."""
        lock = _try_lock(self._directory / "start.lock")
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.close()

    def close(self) -> None:
        self._sender.close()

    def _lock(self, number: int) -> Slot | None:
        lock = _try_lock(self._lock_path(number))
        return None if lock is None else Slot(lock, self._socket_path(number))

    def _lock_path(self, number: int) -> Path:
        return self._directory / f"slot-{number}.lock"

    def _socket_path(self, number: int) -> Path:
        return self._directory / f"slot-{number}.sock"


def _wake_up(job_id: int) -> bytes:
    return WAKE_UP if job_id == ANY_JOB else b"%b%d" % (WAKE_UP, job_id)


def job_of(wake_up: bytes) -> int:
    """The job that a wake-up names; those of older web workers name none."""
    digits = wake_up.removeprefix(WAKE_UP)
    job_id = int(digits) if digits.isdigit() else ANY_JOB
    return job_id if is_job_id(job_id) else ANY_JOB


def worker_slots(settings: Settings, count: int = MAX_WORKERS) -> Slots:
    """The slots of this host's workers, apart from those of the PushProcesses."""
    return Slots(settings.run_dir / "workers", count)


def _try_lock(path: Path) -> LockFile | None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = LockFile(path)
    if file.try_lock():
        return file
    file.close()
    return None
