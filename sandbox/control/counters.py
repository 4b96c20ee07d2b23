"""Counts of pushes, tokens and connections, and the open connections."""

from collections import Counter
from typing import Protocol


class Connection(Protocol):
    """A connection as the rest of the sandbox sees it."""

    def stream_limit_changed(self) -> None:
        """Announce the stream limit of the rules again."""

    def shut_down(self) -> None:
        """Close the connection; the sandbox stops."""


class Counters:
    """Counts since the start or the last reset."""

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self._counts: Counter[str] = Counter()

    def count(self, name: str) -> None:
        self._counts[name] += 1

    def connection_opened(self, connection: Connection) -> None:
        self.open.add(connection)
        self._counts["connections_opened"] += 1

    def connection_closed(self, connection: Connection) -> None:
        self.open.discard(connection)

    def clear(self) -> None:
        self._counts.clear()

    def report(self) -> dict[str, int]:
        """All counts by name, with 0 for an event that has not happened."""
        return {name: self._counts[name] for name in _NAMES} | {
            **self._counts,
            "connections_open": len(self.open),
        }


_NAMES = (
    "apns_accepted",
    "apns_refused",
    "apns_jwts_seen",
    "fcm_accepted",
    "fcm_refused",
    "oauth_tokens_issued",
    "oauth_refused",
    "webpush_accepted",
    "webpush_refused",
    "webpush_ended",
    "webpush_jwts_seen",
    "connections_opened",
    "http2_connections_opened",
    "protocol_errors",
)
