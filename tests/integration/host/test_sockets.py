"""What the look at the sockets of a process leaves alone."""

import fcntl
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from host import sockets
from host.sockets import Sockets

# Exits with 1 if another process has locked the file.
TRY_TO_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(1)
"""


def is_locked(path: Path) -> bool:
    command = [sys.executable, "-c", TRY_TO_LOCK, str(path)]
    return subprocess.run(command, check=False, timeout=60).returncode == 1


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_locks_of_files_stay(tmp_path: Path, listener: socket.socket) -> None:
    looking = Sockets()
    path = tmp_path / "a file"
    with path.open("wb") as file, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        fcntl.lockf(file, fcntl.LOCK_EX)

        assert looking.listen()
        for now in (1.0, 2.0):
            assert len(looking.look(now)) == 1

        assert is_locked(path)
        accepted.close()
    assert not is_locked(path)


def test_sqlite_keeps_its_locks(tmp_path: Path, listener: socket.socket) -> None:
    """Without them, the next process cuts the shared memory off under this one."""
    looking = Sockets()
    database = sqlite3.connect(tmp_path / "a.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (a)")
    database.commit()

    assert looking.listen()
    looking.look(1.0)

    assert is_locked(tmp_path / "a.db-shm")
    database.close()


def test_a_file_that_takes_the_number_of_a_socket_keeps_its_locks(
    tmp_path: Path,
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look at a number and its copy, another thread may open a file."""
    looking = Sockets()
    path = tmp_path / "a file"
    path.touch()
    dup = os.dup

    with path.open("r+b") as file:

        def replace_then_copy(fd: int) -> int:
            os.dup2(file.fileno(), fd)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            return dup(fd)

        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            assert looking.listen()
            monkeypatch.setattr(sockets.os, "dup", replace_then_copy)

            assert looking.look(1.0) == []

            assert is_locked(path)
            accepted.close()
