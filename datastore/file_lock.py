"""Locks on files (flock), which the kernel releases when their holder is killed.

A fork copies the descriptor, and the lock lasts until the last copy is closed. So a
child that was forked while a thread held a lock would hold it for as long as it lives.
Here the child closes its copies. It must not unlock, which would free the parent's.
"""

import fcntl
import os
import threading
from pathlib import Path


class LockFile:
    """An open file that can be locked by one holder at a time, over all processes."""

    def __init__(self, path: Path | str) -> None:
        # No fork comes between the two lines.
        with _open_files.changing:
            self._fd: int | None = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            _open_files.all.add(self)

    @property
    def fd(self) -> int:
        """The descriptor, to read and write the file. Raises ValueError if closed."""
        if self._fd is None:
            raise ValueError("the lock file is closed")
        return self._fd

    def try_lock(self) -> bool:
        """Lock it, unless it is locked already."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def lock(self) -> None:
        """Wait until it can be locked; waiting processes get it in their order."""
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def unlock(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Unlock and close it; the lock is free even if a child has a copy."""
        with _open_files.changing:
            if self._fd is not None:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
                self.close_copy()
                _open_files.all.discard(self)

    def close_copy(self) -> None:
        """Close the descriptor alone; another process that has a copy keeps the lock.

        As the kernel does it for a killed process.
        """
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class _OpenFiles:
    """The open lock files of this process."""

    def __init__(self) -> None:
        self.all: set[LockFile] = set()
        self.changing = threading.Lock()

    def before_fork(self) -> None:
        self.changing.acquire()

    def after_in_parent(self) -> None:
        self.changing.release()

    def after_in_child(self) -> None:
        self.changing = threading.Lock()
        for file in self.all:
            file.close_copy()
        self.all.clear()


_open_files = _OpenFiles()
os.register_at_fork(
    before=_open_files.before_fork,
    after_in_parent=_open_files.after_in_parent,
    after_in_child=_open_files.after_in_child,
)
