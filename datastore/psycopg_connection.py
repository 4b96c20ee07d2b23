"""PostgreSQL's connection with a time limit for each answer of the server.

Imported only with a database of PostgreSQL, because the driver is an extra.
"""

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from psycopg import Connection, Error, OperationalError
from psycopg.errors import ConnectionTimeout

from datastore.timeouts import Timeouts


class SilentServer(OperationalError):
    """The server has not answered in time."""


class BoundedConnection(Connection[Any]):
    """Closes itself if the server is silent for `limit_s`; None means no limit.

    `statement_timeout` ends a slow statement, but its message does not arrive if the
    machine, the network or a proxy is gone. TCP's own timeouts see only the next hop.
    """

    limit_s: float | None = None
    # Tells whether the server is there; a connection that has it goes on waiting then.
    is_alive: Callable[[], bool] | None = None

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        limit_s = self.limit_s
        if limit_s is not None:
            gen = self._within(gen, limit_s)
        return super().wait(gen, *args, **kwargs)

    def _within(
        self, gen: Generator[Any, Any, Any], limit_s: float
    ) -> Generator[Any, Any, Any]:
        """The same generator; the driver sends it 0 ten times a second of silence."""
        ends_at = time.monotonic() + limit_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > ends_at:
                    if self.is_alive is not None and self.is_alive():
                        ends_at = time.monotonic() + limit_s
                        continue
                    self.pgconn.finish()
                    raise SilentServer(
                        f"the server has not answered for {limit_s:g} seconds"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def connect(limits: Timeouts, *args: Any, **kwargs: Any) -> BoundedConnection:
    connection = BoundedConnection.connect(*args, **kwargs)
    connection.limit_s = limits.answer_s
    if limits.is_patient:
        again = partial(connect, limits._replace(is_patient=False), *args, **kwargs)
        connection.is_alive = partial(_answers, again)
    return connection


def _answers(again: Callable[[], BoundedConnection]) -> bool:
    """Whether the server, also one behind a pooler, answers a new connection.

    One that refuses is alive: what has happened to ours, the kernel will say.
    """
    try:
        with again() as connection:
            connection.execute("SELECT 1")
    except Error as problem:
        return not isinstance(problem, ConnectionTimeout | SilentServer)
    return True
