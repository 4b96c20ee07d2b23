"""SQLite's database file: is the open one still that of the path?"""

import logging
import os
import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

log = logging.getLogger(__name__)

REPLACED = "the database file has been deleted or replaced; restart the server"


class DatabaseReplaced(OperationalError):
    """Whatever is written now would be lost with the deleted file."""


class DatabaseFile:
    """Remembers the file that the first connection opened, and refuses any other one.

    SQLite goes on with a file that has been deleted, and a further connection opens,
    or creates, the file that now has the path.
    """

    def __init__(self, path: str | None) -> None:
        # Neither memory nor a URI of SQLite names a file.
        is_file = path and path != ":memory:" and not path.startswith("file:")
        self._path = os.path.abspath(path) if path and is_file else None
        self._opened: tuple[int, int] | None = None
        self._is_logged = False

    def watch(self, engine: Engine) -> None:
        """Check it before each connection of the engine."""
        event.listen(engine, "do_connect", self._before_connect)
        event.listen(engine, "connect", self._after_connect)

    def check(self) -> None:
        """Raise DatabaseReplaced; takes a microsecond, so that each write can."""
        if self._opened is None or self._path is None:
            return
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            self._refuse()
        else:
            if (found.st_dev, found.st_ino) != self._opened:
                self._refuse()

    def _refuse(self) -> None:
        if not self._is_logged:
            log.critical("%s: %s", self._path, REPLACED)
            self._is_logged = True
        problem = sqlite3.OperationalError(REPLACED)
        raise DatabaseReplaced("opening the database", None, problem)

    def _before_connect(self, *_: Any) -> None:
        self.check()
        if self._opened is None and self._path is not None:
            _create(self._path)

    def _after_connect(self, *_: Any) -> None:
        if self._opened is None and self._path is not None:
            found = os.stat(self._path)
            self._opened = found.st_dev, found.st_ino


def _create(path: str) -> None:
    """Create the file for its owner only, as SQLite then creates those beside it.

    One that is there is not even opened: to close it would free SQLite's locks.
    """
    with suppress(OSError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o600))
