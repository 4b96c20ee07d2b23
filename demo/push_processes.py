"""Ending the warm PushProcesses, which outlive the server on purpose."""

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

STOP_S = 10.0


def stop(run_dir: Path) -> None:
    """Ask the owner of each slot to end, and wait until it has let the slot go."""
    deadline = time.monotonic() + STOP_S
    asked: set[int] = set()
    while (pids := _owners(run_dir)) and time.monotonic() < deadline:
        for pid in pids - asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        asked |= pids
        time.sleep(0.02)


def _owners(run_dir: Path) -> set[int]:
    locks = (run_dir / "push").glob("slot-*.lock")
    return {pid for lock in locks if (pid := _owner(lock)) is not None}


def _owner(lock: Path) -> int | None:
    """Who signed a slot (as host:pid:random) and still holds it."""
    try:
        with lock.open() as file:
            name = file.read(200)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Held, so its pid cannot have gone to somebody else meanwhile.
                return int(name.split(":")[1])
    except (OSError, ValueError, IndexError):
        # Gone, or not signed yet.
        pass
    return None
