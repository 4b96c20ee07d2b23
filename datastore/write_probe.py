"""Tries in the background whether SQLite can be written to."""

import threading
import time

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from datastore.outages import NotWritable
from datastore.sqlite import Writers

# A result this old is followed by another try.
EVERY_S = 2.0


class WriteProbe:
    """Knows the result of the last try; only a question starts the next one."""

    def __init__(self, engine: Engine, writers: Writers) -> None:
        self._engine = engine
        self._writers = writers
        self._starting = threading.Lock()
        self._is_trying = False
        self._next_at = 0.0
        self._has_failed = False

    def check(self) -> None:
        """Raise NotWritable if writes fail at present; never waits."""
        self._try_again()
        if self._writers.lock.is_stuck:
            raise NotWritable("The database is locked by another process.")
        if self._has_failed:
            raise NotWritable("The database cannot be written to.")

    def _try_again(self) -> None:
        with self._starting:
            if self._is_trying or time.monotonic() < self._next_at:
                return
            self._is_trying = True
        threading.Thread(target=self._try, name="write-probe", daemon=True).start()

    def _try(self) -> None:
        """Begin a transaction as a writer would, and write nothing."""
        try:
            with self._engine.connect() as connection:
                connection.execution_options(sqlite_begin="IMMEDIATE")
                deadline = self._writers.lock.deadline()
                with self._writers.turn(connection, deadline):
                    pass
            self._has_failed = False
        except (SQLAlchemyError, OSError):
            # Writers log it.
            self._has_failed = True
        finally:
            self._next_at = time.monotonic() + EVERY_S
            self._is_trying = False
