"""Writers of SQLite that keep others waiting."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

HOLDER = """
import sys, signal
from datastore.file_lock import LockFile
lock = LockFile(sys.argv[1])
lock.lock()
print("locked", flush=True)
signal.pause()
"""


@contextmanager
def stopped_process(database: Path) -> Iterator[None]:
    """A process that was stopped in its turn to write."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"{database}.lock"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "locked\n"
    os.kill(holder.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        holder.kill()
        holder.communicate(timeout=60)


@contextmanager
def other_program(database: Path) -> Iterator[None]:
    """A program that knows nothing of our lock, and has begun to write."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


KINDS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "a stopped process": stopped_process,
    "another program": other_program,
}
