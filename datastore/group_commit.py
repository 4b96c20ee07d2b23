"""Group commit: writes of several threads share one transaction and one fsync."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from datastore.prepared import link_of
from datastore.write_turn import timed_out

T = TypeVar("T")


class GroupCommit:
    """Runs the writes that arrive during one transaction in the next one.

    The first waiting thread is the leader: it runs the writes of all, one after
    another. A write that fails before it has changed anything fails alone. If it has
    changed something, or if the commit fails, the transaction is rolled back, and
    each of several writes then runs in a transaction of its own.

    `write` opens a transaction of SQLite, and raises after the deadline that it is
    given. `deadline` tells when a write that comes now gives up; None is never. A write
    that gives up is not in any transaction then, and comes into none.
    """

    def __init__(
        self,
        write: Callable[[float | None], AbstractContextManager[Session]],
        deadline: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._write = write
        self._deadline = deadline
        self._lock = threading.Lock()
        self._waiting: deque[PendingWrite[Any]] = deque()
        self._has_leader = False

    @property
    def waiting(self) -> int:
        """How many writes wait for the next transaction."""
        return len(self._waiting)

    def run(self, work: Callable[[Session], T]) -> T:
        """Return or raise what `work` does, once it is committed.

        Raises OperationalError if its transaction has not begun at its deadline.
        """
        pending = PendingWrite(work, self._deadline())
        with self._lock:
            self._waiting.append(pending)
            pending.leads = not self._has_leader
            self._has_leader = True
        if not pending.leads and not pending.wait(pending.deadline):
            self._give_up(pending)
        if pending.leads:
            self._lead(pending)
        return pending.outcome()

    def _give_up(self, pending: "PendingWrite[Any]") -> None:
        """Leave the queue; if the write is in a transaction already, wait for its end.

        If it leads, it has one last try.
        """
        with self._lock:
            if pending in self._waiting and not pending.leads:
                self._waiting.remove(pending)
                raise timed_out()
        pending.wait(None)

    def _lead(self, own: "PendingWrite[Any]") -> None:
        """Run the group of waiting writes, of which `own` is the first."""
        group: list[PendingWrite[Any]] = []
        try:
            self._run_together(own, group)
        except Exception as problem:
            # No transaction was opened: only our write fails, the next leader tries.
            group = group or self._take_first()
            if group == [own]:
                own.problem = problem
            else:
                for pending in group:
                    self._run_alone(pending)
        except BaseException:
            # Our thread is being ended; the writes of the others were rolled back.
            group = group or self._take_first()
            for pending in group:
                pending.problem = RuntimeError("the transaction was interrupted")
            raise
        finally:
            self._hand_over(own, group)

    def _run_together(
        self, own: "PendingWrite[Any]", group: "list[PendingWrite[Any]]"
    ) -> None:
        with self._write(own.deadline) as session:
            # Only now, because more writes arrived while we waited for the lock.
            group += self._take_waiting()
            for pending in group:
                pending.run_in(session)

    def _take_waiting(self) -> "list[PendingWrite[Any]]":
        with self._lock:
            group = list(self._waiting)
            self._waiting.clear()
        return group

    def _take_first(self) -> "list[PendingWrite[Any]]":
        with self._lock:
            return [self._waiting.popleft()]

    def _run_alone(self, pending: "PendingWrite[Any]") -> None:
        pending.problem = None
        try:
            with self._write(pending.deadline) as session:
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
            if leader is not None:
                leader.leads = True
        for pending in group:
            if pending is not own:
                pending.wake()
        if leader is not None:
            leader.wake()


class PendingWrite(Generic[T]):
    """The write of one thread, and its result."""

    def __init__(
        self, work: Callable[[Session], T], deadline: float | None = None
    ) -> None:
        self.work = work
        self.deadline = deadline
        # It is the first of those that wait, and its thread runs the next transaction.
        self.leads = False
        self.result: Any = None
        self.problem: Exception | None = None
        self._wake_up = threading.Lock()
        self._wake_up.acquire()

    def wait(self, deadline: float | None) -> bool:
        """Whether, before the deadline, it was done or its thread has to lead."""
        left_s = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        return self._wake_up.acquire(timeout=left_s)

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
