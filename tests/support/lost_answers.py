"""A database whose commits succeed, and whose answers to them are lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from datastore import Datastore

T = TypeVar("T")


class LostAnswers(Datastore):
    """Commits for real, and then raises what a connection that breaks then raises.

    It does so for every other write, so each is done, is repeated, and is answered.
    """

    def __init__(self, store: Datastore) -> None:
        super().__init__(store.url.render_as_string(hide_password=False), durable=False)
        self.lost = 0
        self._loses_next = True

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
        self._lose()

    def write_grouped(self, work: Callable[[Session], T]) -> T:
        if not self.is_sqlite:
            # It writes by `write`, which loses the answer.
            return super().write_grouped(work)
        result = super().write_grouped(work)
        self._lose()
        return result

    def _lose(self) -> None:
        loses, self._loses_next = self._loses_next, not self._loses_next
        if loses:
            self.lost += 1
            raise OperationalError("COMMIT", {}, Exception("the server has gone away"))
