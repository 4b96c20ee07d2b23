"""Group commit: writes of several threads share one transaction and one fsync."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from datastore.prepared import link_of

T = TypeVar("T")


class GroupCommit:
    """Runs the writes that arrive during one transaction in the next one.

    The first waiting thread is the leader: it runs the writes of all, one after
    another. A write that fails before it has changed anything fails alone. If it has
    changed something, or if the commit fails, the transaction is rolled back, and
    each of several writes then runs in a transaction of its own.

    `write` opens a transaction of SQLite.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Session]]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: deque[PendingWrite[Any]] = deque()
        self._has_leader = False

    @property
    def waiting(self) -> int:
        """How many writes wait for the next transaction."""
        return len(self._waiting)

    def run(self, work: Callable[[Session], T]) -> T:
        """Return or raise what `work` does, once it is committed."""
        pending = PendingWrite(work)
        with self._lock:
            self._waiting.append(pending)
            is_leader, self._has_leader = not self._has_leader, True
        if not is_leader:
            pending.wait()
        # It has been woken to lead if another leader has not run its write.
        if not pending.is_done:
            self._lead(pending)
        return pending.outcome()

    def _lead(self, own: "PendingWrite[Any]") -> None:
        """Run the group of waiting writes, of which `own` is the first."""
        group: list[PendingWrite[Any]] = []
        try:
            self._run_together(group)
        except Exception as problem:
            # No transaction was opened: only our write fails, the next leader tries.
            group = group or [self._waiting.popleft()]
            if group == [own]:
                own.problem = problem
            else:
                for pending in group:
                    self._run_alone(pending)
        except BaseException:
            # Our thread is being ended; the writes of the others were rolled back.
            group = group or [self._waiting.popleft()]
            for pending in group:
                pending.problem = RuntimeError("the transaction was interrupted")
            raise
        finally:
            self._hand_over(own, group)

    def _run_together(self, group: "list[PendingWrite[Any]]") -> None:
        with self._write() as session:
            # Only now, because more writes arrived while we waited for the lock.
            group += self._take_waiting()
            for pending in group:
                pending.run_in(session)

    def _take_waiting(self) -> "list[PendingWrite[Any]]":
        with self._lock:
            group = list(self._waiting)
            self._waiting.clear()
        return group

    def _run_alone(self, pending: "PendingWrite[Any]") -> None:
        pending.problem = None
        try:
            with self._write() as session:
                pending.result = pending.work(session)
        except Exception as problem:
            pending.problem = problem

    def _hand_over(
        self, own: "PendingWrite[Any]", group: "list[PendingWrite[Any]]"
    ) -> None:
        """Wake the threads of the group, and the next leader."""
        with self._lock:
            leader = self._waiting[0] if self._waiting else None
            self._has_leader = leader is not None
        for pending in group:
            pending.is_done = True
            if pending is not own:
                pending.wake()
        if leader is not None:
            leader.wake()


class PendingWrite(Generic[T]):
    """The write of one thread, and its result."""

    def __init__(self, work: Callable[[Session], T]) -> None:
        self.work = work
        self.is_done = False
        self.result: Any = None
        self.problem: Exception | None = None
        self._wake_up = threading.Lock()
        self._wake_up.acquire()

    def wait(self) -> None:
        """Return when the write is done, or when its thread has to lead."""
        self._wake_up.acquire()

    def wake(self) -> None:
        self._wake_up.release()

    def run_in(self, session: Session) -> None:
        """Raises if the write fails and leaves a change in the transaction."""
        before = _changes(session)
        try:
            self.result = self.work(session)
        except Exception as problem:
            if _changes(session) != before:
                raise
            self.problem = problem

    def outcome(self) -> T:
        if self.problem is not None:
            raise self.problem
        result: T = self.result
        return result


def _changes(session: Session) -> Any:
    """How many rows this connection has written so far."""
    return link_of(session).driver.total_changes
