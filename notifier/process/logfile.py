"""The log of the PushProcesses: one file in the run directory, bounded in size."""

import fcntl
import logging
import os
import sys
from pathlib import Path

# One older file is kept beside, so twice this is the most the log takes.
LARGEST_LOG = 5_000_000
FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


class LogFile(logging.Handler):
    """Writes records, and whatever is printed, to a file that several processes share.

    It takes the place of the process's stdout and stderr: those are the host's, and
    whoever reads them would wait for us after the host has gone.
    """

    def __init__(self, path: Path, largest: int = LARGEST_LOG) -> None:
        super().__init__()
        self._path = path
        self._largest = largest
        self.setFormatter(logging.Formatter(FORMAT))
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
            os.write(sys.stderr.fileno(), line)
            if os.fstat(sys.stderr.fileno()).st_size > self._largest:
                self._turn_over()
        except (OSError, ValueError):
            self.handleError(record)

    def _turn_over(self) -> None:
        # Our neighbours write to the same file: only the first of us renames it.
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
