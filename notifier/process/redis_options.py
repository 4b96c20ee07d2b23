"""Options of every client of Redis: no exchange waits for a dead machine for ever."""

import socket
from typing import Any

# A connection that only listens notices after 10 + 3 x 3 seconds that nobody is there.
_KEEPALIVES = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 3,
    socket.TCP_KEEPCNT: 3,
}


def options(url: str, timeout_s: float | None) -> dict[str, Any]:
    """For `Redis.from_url`, and for Celery's transport.

    `timeout_s` is for an answer; None leaves that to the library.
    """
    found: dict[str, Any] = {}
    if timeout_s is not None:
        found["socket_timeout"] = timeout_s
    # A Unix socket has no such options.
    if url.startswith(("redis://", "rediss://")):
        found["socket_keepalive"] = True
        found["socket_keepalive_options"] = {**_KEEPALIVES}
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int((timeout_s or 10) * 1000)
            found["socket_keepalive_options"][socket.TCP_USER_TIMEOUT] = milliseconds
    return found
