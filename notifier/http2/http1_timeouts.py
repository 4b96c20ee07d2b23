"""The deadline of a request, and of idleness, on an HTTP/1.1 connection."""

import time

from notifier.http2.http1 import Http1Connection


class Http1Timeouts:
    """Checks one connection at every tick of the pool.

    HTTP/1.1 has no PING, so an idle connection is closed instead, and a request cannot
    be cancelled, so its deadline ends the connection.
    """

    def __init__(
        self, connection: Http1Connection, *, timeout_s: float, idle_s: float
    ) -> None:
        self.connection = connection
        self.opened_at = time.monotonic()
        self._timeout_s = timeout_s
        self._idle_s = idle_s

    def tick(self, now: float) -> None:
        connection = self.connection
        waited_s = now - connection.changed_at
        if connection.open_requests and waited_s >= self._timeout_s:
            connection.close(f"no answer within {self._timeout_s:g} s")
        elif not connection.open_requests and waited_s >= self._idle_s:
            connection.drain("it was idle")
        connection.fill()
