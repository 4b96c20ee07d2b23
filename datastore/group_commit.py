"""Writes of several threads in one transaction: one turn, one wait for the disk."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

T = TypeVar("T")


class GroupCommit:
    """Whoever comes while another one's transaction is under way waits for the next.

    The first of those who wait leads: in its thread it does what all of them want,
    one after another. One that fails before it has written anything fails alone; if
    it has, or the commit fails, all is undone, and if they were several, each is done
    in a transaction of its own.

    `write` opens a transaction of SQLite.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Session]]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: deque[PendingWrite[Any]] = deque()
        self._is_led = False

    @property
    def waiting(self) -> int:
        """How many wait for the next transaction."""
        return len(self._waiting)

    def run(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, or raises, once it is committed."""
        pending = PendingWrite(work)
        with self._lock:
            self._waiting.append(pending)
            leads, self._is_led = not self._is_led, True
        if not leads:
            pending.called.acquire()
        if not pending.has_ended:
            self._lead(pending)
        return pending.outcome()

    def _lead(self, own: "PendingWrite[Any]") -> None:
        """`own` is the first of those who wait."""
        group: list[PendingWrite[Any]] = []
        try:
            self._do(group)
        except Exception as problem:
            # Without a transaction nobody was gathered; whoever leads next will see.
            group = group or [self._waiting.popleft()]
            if group == [own]:
                own.problem = problem
            else:
                for pending in group:
                    self._do_alone(pending)
        except BaseException:
            # Our thread is made to end, and the others are not done.
            group = group or [self._waiting.popleft()]
            for pending in group:
                pending.problem = RuntimeError("the transaction was interrupted")
            raise
        finally:
            self._wake_group(own, group)

    def _do(self, group: "list[PendingWrite[Any]]") -> None:
        with self._write() as session:
            # Not earlier: more have come while we waited for the turn.
            group += self._gather()
            for pending in group:
                pending.do_in(session)

    def _gather(self) -> "list[PendingWrite[Any]]":
        with self._lock:
            group = list(self._waiting)
            self._waiting.clear()
        return group

    def _do_alone(self, pending: "PendingWrite[Any]") -> None:
        pending.problem = None
        try:
            with self._write() as session:
                pending.result = pending.work(session)
        except Exception as problem:
            pending.problem = problem

    def _wake_group(
        self, own: "PendingWrite[Any]", group: "list[PendingWrite[Any]]"
    ) -> None:
        with self._lock:
            leader = self._waiting[0] if self._waiting else None
            self._is_led = leader is not None
        for pending in group:
            pending.has_ended = True
            if pending is not own:
                pending.called.release()
        if leader is not None:
            leader.called.release()


class PendingWrite(Generic[T]):
    """What one thread wants, and what has become of it."""

    def __init__(self, work: Callable[[Session], T]) -> None:
        self.work = work
        self.has_ended = False
        self.result: Any = None
        self.problem: Exception | None = None
        # Released when it has ended, or has to lead.
        self.called = threading.Lock()
        self.called.acquire()

    def do_in(self, session: Session) -> None:
        """Raises if it fails and leaves something behind in the transaction."""
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
    """Rows that this connection has ever written."""
    driver: Any = session.connection().connection.driver_connection
    return driver.total_changes
