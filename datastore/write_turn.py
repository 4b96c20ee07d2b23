"""The turns of SQLite's writers, over threads and processes: a lock on a file.

SQLite's own busy handler polls, so under load some writers starve (p99 of 55 ms and a
maximum of 430 ms with 8 writers). A file lock wakes the next writer at once and in
order (12 ms and 21 ms).
"""

import sqlite3
import threading
import time
from collections import deque
from functools import partial
from typing import Protocol

from sqlalchemy.exc import OperationalError

from datastore.file_lock import LockFile

# The longest that a writer waits for its turn and for SQLite together. A transaction
# takes milliseconds, so then another process hangs while it has the lock.
WAIT_S = 5.0
# The same once a writer has waited in vain, until one gets its turn: more waiting
# writers would only take the threads that could answer reads.
WAIT_WHILE_STUCK_S = 0.1


class WriteLock(Protocol):
    """Lets one transaction write at a time.

    One per store; it is opened anew by both sides of a fork.
    """

    def deadline(self) -> float | None:
        """When a writer that comes now gives up; None is never."""

    def acquire(self, deadline: float | None) -> None:
        """Wait for the turn; raises OperationalError after the deadline."""

    def release(self) -> None:
        """End the turn."""

    def note(self, *, works: bool) -> None:
        """Note whether SQLite let the writer write that had the turn."""

    @property
    def is_stuck(self) -> bool:
        """Whether a writer has waited in vain, and none has written since."""

    def reset(self) -> None:
        """After a fork: open the file again, because our copy of it has been closed."""

    def close(self) -> None: ...


class PatientLock:
    """For engines: a writer waits as long as it takes, on its own thread.

    An engine has nothing else to do while it cannot write, and its leases begin when
    it has its turn.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.reset()

    def reset(self) -> None:
        self._mutex = threading.Lock()
        self._file: LockFile | None = None

    def close(self) -> None:
        with self._mutex:
            if self._file is not None:
                self._file.close()
                self._file = None

    def deadline(self) -> float | None:
        return None

    def acquire(self, deadline: float | None) -> None:
        self._mutex.acquire()
        try:
            if self._file is None:
                self._file = LockFile(self._path)
            self._file.lock()
        except BaseException:
            self._mutex.release()
            raise

    def release(self) -> None:
        try:
            if self._file is not None:
                self._file.unlock()
        finally:
            self._mutex.release()

    def note(self, *, works: bool) -> None:
        """It waits as long in any case."""

    @property
    def is_stuck(self) -> bool:
        return False


class BoundedLock:
    """For web workers: a writer that waits too long gives up.

    The writers of this process stand in a queue, whose head tries to lock the file. If
    another process has the lock, one thread of ours waits for it (`flock` has no
    timeout), and gives it to the head of the queue of that time. So a writer may give
    up and leave the queue, and this process still keeps its place among the others.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.reset()

    def reset(self) -> None:
        # Held for moments only.
        self._changing = threading.Lock()
        self._file: LockFile | None = None
        self._queue: deque[_Place] = deque()
        # Whether a writer has the turn or tries to get it, or the thread waits for it.
        self._is_taken = False
        self._is_stuck = False
        # Released when the thread of this file shall wait for the lock.
        self._wanted: threading.Lock | None = None

    def close(self) -> None:
        with self._changing:
            if self._file is not None:
                self._file.close()
                self._file = None
            if self._wanted is not None:
                _release(self._wanted)
                self._wanted = None
            while self._queue:
                self._queue.popleft().refuse(timed_out())
            self._is_taken = False

    @property
    def is_stuck(self) -> bool:
        return self._is_stuck

    def deadline(self) -> float | None:
        return time.monotonic() + (WAIT_WHILE_STUCK_S if self._is_stuck else WAIT_S)

    def note(self, *, works: bool) -> None:
        self._is_stuck = not works

    def acquire(self, deadline: float | None) -> None:
        with self._changing:
            if not self._is_taken and self._try_file():
                self._is_taken = True
                return
            place = _Place()
            self._queue.append(place)
            if not self._is_taken:
                self._is_taken = True
                place.let_try()
        try:
            while not self._has_turn(place, is_over=not place.wait(deadline)):
                pass
        except BaseException:
            self._leave(place)
            raise

    def _has_turn(self, place: "_Place", *, is_over: bool) -> bool:
        """Raises OperationalError if the time is over and the turn has not come."""
        with self._changing:
            if place.problem is not None:
                raise place.problem
            if place.has_turn:
                return True
            if place.may_try and self._try_file():
                self._queue.popleft()
                return True
            if is_over:
                self._is_stuck = True
                raise timed_out()
            if place.may_try:
                self._wait_for_file()
                place.may_try = False
            return False

    def _leave(self, place: "_Place") -> None:
        """Go without the turn, or give it back if it has come just now."""
        with self._changing:
            if place.has_turn:
                self._end_turn()
            elif place in self._queue:
                self._queue.remove(place)
                if place.may_try:
                    self._pass_on()

    def release(self) -> None:
        with self._changing:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._file is not None:
            self._file.unlock()
        self._pass_on()

    def _pass_on(self) -> None:
        """Let the head of the queue try to lock the file, which we have not locked.

        On its own thread: until then, other processes that wait have woken up.
        """
        if self._queue:
            self._queue[0].let_try()
        else:
            self._is_taken = False

    def _try_file(self) -> bool:
        return self._open().try_lock()

    def _open(self) -> LockFile:
        if self._file is None:
            self._file = LockFile(self._path)
        return self._file

    def _wait_for_file(self) -> None:
        """Have the thread wait for the lock."""
        if self._wanted is None:
            wanted = threading.Lock()
            wanted.acquire()
            work = partial(self._wait, wanted, self._open())
            threading.Thread(target=work, name="write-turn", daemon=True).start()
            self._wanted = wanted
        self._wanted.release()

    def _wait(self, wanted: threading.Lock, file: LockFile) -> None:
        """The thread; it ends when the file is closed."""
        while True:
            wanted.acquire()
            problem = None
            try:
                file.lock()
            except (OSError, ValueError) as caught:
                problem = caught
            with self._changing:
                if self._file is not file:
                    return
                self._give(file, problem)

    def _give(self, file: LockFile, problem: Exception | None) -> None:
        """Give the lock, or the error, to the head of the queue."""
        self._is_stuck = False
        place = self._queue.popleft() if self._queue else None
        if place is not None and problem is None:
            place.give()
            return
        if place is not None and problem is not None:
            place.refuse(problem)
        elif problem is None:
            # Every writer has given up.
            file.unlock()
        self._pass_on()


class _Place:
    """A writer's place in the queue of its process; changed under the queue's lock."""

    def __init__(self) -> None:
        self.has_turn = False
        # It is the head, and this process has not locked the file.
        self.may_try = False
        self.problem: Exception | None = None
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self, deadline: float | None) -> bool:
        """Whether it was woken before the deadline."""
        left_s = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        return self._woken.acquire(timeout=left_s)

    def give(self) -> None:
        self.has_turn = True
        _release(self._woken)

    def let_try(self) -> None:
        self.may_try = True
        _release(self._woken)

    def refuse(self, problem: Exception) -> None:
        self.problem = problem
        _release(self._woken)


def _release(lock: threading.Lock) -> None:
    if lock.locked():
        lock.release()


def timed_out() -> OperationalError:
    """What SQLite's own wait for another writer would raise."""
    locked = sqlite3.OperationalError("database is locked")
    return OperationalError("waiting for other writers", None, locked)
