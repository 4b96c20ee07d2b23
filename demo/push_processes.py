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
    while (slots := _held(run_dir)) and time.monotonic() < deadline:
        pids = {pid for pid in map(_owner, slots) if pid is not None}
        for pid in pids - asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        asked |= pids
        time.sleep(0.02)


def _held(run_dir: Path) -> list[str]:
    """What the slots are signed with that are held."""
    locks = (run_dir / "push").glob("slot-*.lock")
    return [signature for lock in locks if (signature := _look(lock)) is not None]


def _look(lock: Path) -> str | None:
    with suppress(OSError), lock.open() as file:
        signature = file.read(200)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Held, so its pid cannot have gone to somebody else meanwhile.
            return signature
    return None


def _owner(signature: str) -> int | None:
    """Who signed (as host:pid:random); None for one who is about to."""
    with suppress(ValueError, IndexError):
        return int(signature.split(":")[1])
    return None
