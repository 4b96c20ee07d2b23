"""Stops warm PushProcesses, which keep running after the server has ended."""

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

STOP_S = 10.0


def stop(run_dir: Path) -> None:
    """Terminate the owner of each slot, and wait until the slots are free."""
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
    """The signatures of the slots that are in use."""
    locks = (run_dir / "push").glob("slot-*.lock")
    return [signature for lock in locks if (signature := _signature(lock)) is not None]


def _signature(lock: Path) -> str | None:
    with suppress(OSError), lock.open() as file:
        signature = file.read(200)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # The owner still runs, so its pid cannot have been reused.
            return signature
    return None


def _owner(signature: str) -> int | None:
    """The pid in a signature (host:pid:random); None if it is not written yet."""
    with suppress(ValueError, IndexError):
        return int(signature.split(":")[1])
    return None
