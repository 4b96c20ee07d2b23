"""PostgreSQL's connection with a time limit for each answer of the server.

Imported only with a database of PostgreSQL, because the driver is an extra.
"""

import time
from collections.abc import Generator
from typing import Any

from psycopg import Connection, OperationalError


class BoundedConnection(Connection[Any]):
    """Closes itself if the server is silent for `limit_s`; None means no limit.

    `statement_timeout` ends a slow statement, but its message does not arrive if the
    machine, the network or a proxy is gone. TCP's own timeouts see only the next hop.
    """

    limit_s: float | None = None

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
                    self.pgconn.finish()
                    raise OperationalError(
                        f"the server has not answered for {limit_s:g} seconds"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def connect(limit_s: float | None, *args: Any, **kwargs: Any) -> BoundedConnection:
    connection = BoundedConnection.connect(*args, **kwargs)
    connection.limit_s = limit_s
    return connection
