"""Turns of SQLite's writers without a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datastore.write_turn import WriteLock


@contextmanager
def held(lock: WriteLock, deadline: float | None = None) -> Iterator[None]:
    lock.acquire(deadline)
    try:
        yield
    finally:
        lock.release()


def is_waited_for(path: Path) -> bool:
    """Whether a thread waits until the file is unlocked."""
    inode = f":{path.stat().st_ino} "
    locks = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and inode in line for line in locks)
