"""Slots for engine processes on a host: a lock file names the owner, a socket wakes it.

Slot k is `slot-k.lock`, held (flock) by the engine's process, which writes its name
into it, and `slot-k.sock`, on which that process receives wake-ups. Where generations
of settings matter, the socket's name has the number of the process's generation, so
that no process with older settings takes a wake-up that is meant for newer ones.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from config import Settings, SettingsError, platform
from datastore.file_lock import LockFile
from notifier.engine import ANY_JOB, is_job_id
from notifier.process.holders import OWNER, Holder, read_holder

# Worker slots of a host. An engine beyond them has no slot; if it is killed, its
# leases have to expire.
MAX_WORKERS = 64
# The highest generation for whose sockets there has to be room: a time in seconds.
LONGEST_NUMBER = 0xFFFFFFFF
# The highest pid of Linux.
LONGEST_PID = 4_194_304
WAKE_UP = b"!"
# The mark and an id.
LONGEST_WAKE_UP = 1 + 19


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

    def __init__(self, lock: LockFile, name: Path, socket_path: Path) -> None:
        self._lock = lock
        self._name = name
        self._socket_path = socket_path
        # The name that a worker uses which does not know of generations.
        self._alias = name.with_suffix(".sock")
        self._socket: socket.socket | None = None

    @property
    def owner(self) -> str | None:
        """The recorded owner; if we did not record it, that process was killed.

        None if the file does not hold a name, as after a power cut.
        """
        recorded = os.pread(self._lock.fd, 300, 0)
        return recorded.decode() if OWNER.fullmatch(recorded) else None

    def set_owner(self, owner: str) -> None:
        os.ftruncate(self._lock.fd, 0)
        os.pwrite(self._lock.fd, owner.encode(), 0)

    def clear_owner(self) -> None:
        os.ftruncate(self._lock.fd, 0)

    def open_socket(self) -> socket.socket:
        """Receive wake-ups from now on; call it before the first look at the outbox."""
        for left in (self._alias, *self._name.parent.glob(f"{self._name.name}-*.sock")):
            left.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._socket_path))
        self._socket_path.chmod(0o600)
        if self._alias != self._socket_path:
            with suppress(OSError):
                self._alias.hardlink_to(self._socket_path)
        return self._socket

    def close_socket(self) -> None:
        if self._socket is not None:
            with suppress(FileNotFoundError):
                # Unless the slot was taken away from us, and has another owner.
                if self._alias.samefile(self._socket_path):
                    self._alias.unlink()
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
    """All slots of a host. Safe to share between threads, and across a fork.

    `number` tells the generation whose processes are woken, which may change; for a
    process that takes a slot it is its own. None: there are no generations.
    """

    def __init__(
        self, run_dir: Path, count: int, *, number: Callable[[], int] | None = None
    ) -> None:
        self._directory = run_dir / "push"
        self.count = count
        self._number = number
        longest = len(_longest_name(run_dir, count, has_bells=number is not None))
        if longest > platform.LONGEST_SOCKET_PATH:
            excess = longest - platform.LONGEST_SOCKET_PATH
            raise SettingsError(
                "BOTTLEPOST_RUN_DIR",
                f"is {excess} bytes too long for the Unix sockets in it: {run_dir}",
            )
        # A generation, and the addresses of its processes.
        self._addressed: tuple[int | None, list[str]] = None, self._addresses(None)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)

    def wake(self, job_id: int = ANY_JOB) -> WakeResult:
        """Wake one process for a job; takes a few microseconds and never waits.

        It is always the first one with room, so that the others can end.
        """
        result = WakeResult.BUSY
        wake_up = _wake_up(job_id)
        for address in self._current_addresses():
            try:
                self._sender.sendto(wake_up, address)
            except (FileNotFoundError, ConnectionRefusedError):
                result = WakeResult.NO_LISTENER
                continue
            except OSError as problem:
                if not platform.is_queue_full(problem):
                    raise
                # A process at capacity does not read its socket.
                continue
            return WakeResult.TAKEN
        return result

    def wake_all(self) -> None:
        """Wake every process, because the first one with room may hang."""
        for address in self._current_addresses():
            with suppress(OSError):
                self._sender.sendto(WAKE_UP, address)

    def count_listeners(self) -> int:
        """The number of processes that receive wake-ups; wakes none of them."""
        count = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            for address in self._current_addresses():
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

    def holders(self) -> list[Holder]:
        """The processes that hold a slot and have written their names into it.

        There may be more of them than our slots: those with other settings.
        """
        found = map(self._holder, sorted(self._directory.glob("slot-*.lock")))
        return [holder for holder in found if holder is not None]

    def take_away(self, holder: Holder) -> None:
        """Give a new lock file to a slot whose holder cannot be ended."""
        if self._holder(holder.lock_path) == holder:
            holder.lock_path.unlink(missing_ok=True)

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
        path = self._lock_path(number)
        lock = _try_lock(path)
        if lock is None:
            return None
        try:
            if os.path.samestat(os.fstat(lock.fd), path.stat()):
                generation = self._number() if self._number else None
                socket_path = self._socket_path(number, generation)
                return Slot(lock, path.with_suffix(""), socket_path)
        except FileNotFoundError:
            pass
        # The slot was just taken away from its holder, whose file this was.
        lock.close()
        return None

    def _holder(self, path: Path) -> Holder | None:
        holder = read_holder(path)
        if holder is None or holder.has_file_open():
            return holder
        if lock := _try_lock(path):
            # It was killed, and left its name.
            lock.close()
            return None
        return holder

    def _lock_path(self, number: int) -> Path:
        return self._directory / f"slot-{number}.lock"

    def _socket_path(self, number: int, generation: int | None) -> Path:
        suffix = f"-{generation:x}" if generation else ""
        return self._directory / f"slot-{number}{suffix}.sock"

    def _addresses(self, generation: int | None) -> list[str]:
        return [str(self._socket_path(k, generation)) for k in range(self.count)]

    def _current_addresses(self) -> list[str]:
        """The addresses of the processes that we wake."""
        addressed, addresses = self._addressed
        generation = self._number() if self._number else None
        if generation != addressed:
            addresses = self._addresses(generation)
            self._addressed = generation, addresses
        return addresses


def _longest_name(run_dir: Path, count: int, *, has_bells: bool) -> bytes:
    """The longest path of a socket here; the bells of web workers are sockets, too."""
    names = [f"push/slot-{count}-{LONGEST_NUMBER:x}.sock"]
    if has_bells:
        names.append(f"settings/{LONGEST_NUMBER:x}-{LONGEST_PID}.sock")
    return max((os.fsencode(run_dir / name) for name in names), key=len)


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
