"""What differs between Linux and other systems, for all packages.

Linux is where Bottlepost is tested. The other ways here are for macOS, and are tested
by taking away what macOS lacks; the BSDs are like it.
"""

import errno
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

IS_LINUX = sys.platform.startswith("linux")
# The room of sockaddr_un without the zero at its end.
LONGEST_SOCKET_PATH = 107 if IS_LINUX else 103
PROCESSES = Path("/proc")
LOOK_EVERY_S = 0.02


def is_queue_full(problem: OSError) -> bool:
    """Whether a datagram could not be sent because its receiver has not read enough.

    Linux says EAGAIN, and others ENOBUFS.
    """
    return isinstance(problem, BlockingIOError) or problem.errno == errno.ENOBUFS


def keepalives(idle_s: int, interval_s: int, count: int) -> dict[int, int]:
    """Socket options: find out that a peer is gone, while nothing is sent."""
    options = {
        "TCP_KEEPIDLE": idle_s,
        # The name of the first one on macOS.
        "TCP_KEEPALIVE": idle_s,
        "TCP_KEEPINTVL": interval_s,
        "TCP_KEEPCNT": count,
    }
    return {
        getattr(socket, name): value
        for name, value in options.items()
        if hasattr(socket, name)
    }


def send_timeout(milliseconds: int) -> dict[int, int]:
    """Socket options: give up a peer that does not confirm what is sent, in time.

    Elsewhere than on Linux the connection ends as late as the system has it.
    """
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return {}
    return {socket.TCP_USER_TIMEOUT: milliseconds}


def send_signal(
    pid: int, number: signal.Signals, is_it: Callable[[], bool], *, wait_s: float = 0
) -> bool:
    """Send a signal to a process if `is_it`, and wait for its end for up to `wait_s`.

    False if it has ended before, or cannot be reached. With a pidfd, no other process
    that gets the same pid meanwhile can get the signal. Without one, that is a moment
    between `is_it` and the signal.
    """
    if not hasattr(os, "pidfd_open"):
        return _send_signal_by_pid(pid, number, is_it, wait_s)
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_it():
            return False
        signal.pidfd_send_signal(pidfd, number)
        if wait_s:
            # Unlike select(), it accepts file descriptors above 1023.
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            ended.poll(wait_s * 1000)
    except OSError:
        return False
    finally:
        os.close(pidfd)
    return True


def _send_signal_by_pid(
    pid: int, number: signal.Signals, is_it: Callable[[], bool], wait_s: float
) -> bool:
    if not is_it():
        return False
    try:
        os.kill(pid, number)
    except OSError:
        return False
    deadline = time.monotonic() + wait_s
    while is_it() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    return True


def holds_lock(pid: int, path: Path) -> bool:
    """Whether the process has a file open on which processes hold locks.

    Without /proc, whether anybody holds its lock: a lock ends with its process, and
    there are no containers in which our pids mean other processes.
    """
    if not PROCESSES.is_dir():
        return _is_locked(path)
    try:
        file = path.stat()
        for fd in os.scandir(PROCESSES / str(pid) / "fd"):
            # It may be closed meanwhile.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(fd.path), file):
                    return True
    except OSError:
        pass
    return False


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def started_at(pid: int) -> str:
    """When a process began, in ticks of the system; 0 where that is not told."""
    try:
        stat = (PROCESSES / str(pid) / "stat").read_text()
    except OSError:
        return "0"
    # Field 22; the name in field 2 may have spaces.
    return stat.rpartition(")")[2].split()[19]


def name_process(name: str) -> None:
    """Have ps and top show this process by a name, on Linux only."""
    with suppress(OSError):
        (PROCESSES / "self/comm").write_text(name)


def raise_file_limit(wanted: int) -> int:
    """Raise the limit of open files towards `wanted`; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        # The hard limit of macOS may be above what its kernel accepts.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    return soft
