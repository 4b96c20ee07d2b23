"""The manager as a daemon: start, stop, restart and status by a pidfile.

The daemon holds a lock on its pidfile. So a stale pidfile is recognised, and a process
that has since got the same pid is never signalled.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config import platform
from notifier.process import interpreter

START_S = 60.0
STOP_S = 20.0
CHECK_S = 0.02
# The Linux Standard Base's exit codes for init scripts.
RUNNING, DIED, STOPPED = 0, 1, 3


class PidfileTaken(Exception):
    """Another daemon holds the pidfile."""


@contextmanager
def holding(pidfile: Path) -> Iterator[None]:
    """Hold the pidfile in this block; raises PidfileTaken."""
    pidfile.parent.mkdir(parents=True, exist_ok=True)
    with pidfile.open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PidfileTaken(f"{pidfile} belongs to a running manager") from None
        held.truncate(0)
        held.write(f"{os.getpid()}\n")
        held.flush()
        try:
            yield
        finally:
            pidfile.unlink(missing_ok=True)


def start(pidfile: Path, log: Path, is_up: Callable[[], bool]) -> int:
    """Start a daemon and wait until it is up."""
    if pid := running_pid(pidfile):
        print(f"already running, pid {pid}")
        return 0
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as output:
        daemon = subprocess.Popen(  # noqa: S603 - no argument comes from outside
            interpreter.command(
                "worker", "manager", "run", f"--pidfile={pidfile}", f"--log={log}"
            ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if _until(lambda: daemon.poll() is not None or is_up(), START_S) and is_up():
        print(f"started, pid {daemon.pid}")
        return 0
    print(f"did not start; see {log}", file=sys.stderr)
    return 1


def stop(pidfile: Path) -> int:
    """Stop the daemon with SIGTERM, then with SIGKILL, and wait for its end."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if pid := running_pid(pidfile):
            _end(pid, number, pidfile)
    if running_pid(pidfile) is not None:
        print("does not stop", file=sys.stderr)
        return 1
    pidfile.unlink(missing_ok=True)
    print("stopped")
    return 0


def _end(pid: int, number: signal.Signals, pidfile: Path) -> None:
    """Signal the daemon, and wait for its end, because its port is free only then."""
    platform.send_signal(
        pid, number, lambda: running_pid(pidfile) == pid, wait_s=STOP_S
    )


def status(pidfile: Path) -> int:
    if pid := running_pid(pidfile):
        print(f"running, pid {pid}")
        return RUNNING
    if pidfile.exists():
        print("not running, but it left its pidfile: it was killed")
        return DIED
    print("not running")
    return STOPPED


def running_pid(pidfile: Path) -> int | None:
    """The pid of the daemon that holds the pidfile now."""
    try:
        with pidfile.open() as seen:
            try:
                fcntl.flock(seen, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = seen.read().strip()
                return int(text) if text.isdigit() else None
    except FileNotFoundError:
        pass
    return None


def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(CHECK_S)
    return True
