"""A log file of ours: several processes write to it, and it is bounded in size."""

import fcntl
import logging
import os
import sys
from pathlib import Path

# One older file is kept, so the log takes at most twice this.
MAX_BYTES = 5_000_000


class LogFile(logging.Handler):
    """Writes records and printed text to a file that several processes share.

    It replaces the process's stdout and stderr, which are the host's: a reader of the
    host's output would wait for us after the host has ended.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
            # Before the line: the file may have been rotated, and even twice, since
            # our last one.
            if os.fstat(sys.stderr.fileno()).st_size >= MAX_BYTES:
                self._rotate()
            os.write(sys.stderr.fileno(), line)
        except (OSError, ValueError):
            # The full text of an error is nothing to print.
            return

    def _rotate(self) -> None:
        # Several processes write to this file, and only the first one renames it.
        fcntl.flock(sys.stderr.fileno(), fcntl.LOCK_EX)
        ours = os.fstat(sys.stderr.fileno()).st_ino
        if self._path.exists() and self._path.stat().st_ino == ours:
            self._path.rename(f"{self._path}.1")
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
