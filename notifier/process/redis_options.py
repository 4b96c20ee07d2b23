"""Options of every client of Redis: no exchange waits for a dead machine for ever."""

from typing import Any

from config import platform

# A connection that only listens notices after 10 + 3 x 3 seconds that nobody is there.
_KEEPALIVES = platform.keepalives(idle_s=10, interval_s=3, count=3)


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
        found["socket_keepalive_options"] = {
            **_KEEPALIVES,
            **platform.send_timeout(int((timeout_s or 10) * 1000)),
        }
    return found
