"""What can be told to the sandbox while it runs, and what it has counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from sandbox import faults, keys
from sandbox.faults import Fault

PROVIDERS = ("apns", "fcm")


@dataclass
class Rules:
    """How the providers behave; the control endpoint changes them."""

    # Added to everything that a connection sends.
    latency_ms: float = 0.0
    max_concurrent_streams: int = 1000
    # The Retry-After of the answers that carry one.
    retry_after_s: int = 1
    # How long `slow` and `slow-body` take.
    slow_s: float = 2.0
    # Apple: a provider token may be an hour old, and renewed every twenty minutes.
    apns_token_max_age_s: float = 3600.0
    apns_token_update_s: float = 1200.0
    # Google: access tokens live an hour, less one second.
    fcm_token_lifetime_s: float = 3599.0
    topics: tuple[str, ...] = (keys.TOPIC,)
    # Provider, or "all" → the answer that every push gets instead of its own.
    outage: dict[str, str] = field(default_factory=dict)
    # Device token → the answer it gets, by name.
    answers: dict[str, str] = field(default_factory=dict)
    # The next so many pushes of a provider, or of all, get this answer.
    next: dict[str, tuple[int, str]] = field(default_factory=dict)

    def outage_of(self, provider: str) -> Fault | None:
        """What every push of the provider gets at present."""
        name = self.outage.get(provider) or self.outage.get("all")
        return faults.named(name) if name else None

    def chosen(self, provider: str, token: str) -> Fault | None:
        """What this one push gets, if somebody has chosen it."""
        if token in self.answers:
            return faults.named(self.answers[token])
        name = self._take_next(provider) if self.next else None
        return faults.named(name) if name else None

    def _take_next(self, provider: str) -> str | None:
        for name in (provider, "all"):
            if name in self.next:
                left, answer = self.next[name]
                if left > 1:
                    self.next[name] = (left - 1, answer)
                else:
                    del self.next[name]
                return answer
        return None


class Connection(Protocol):
    """A connection as the counters and the controls see it."""

    def limit_changed(self) -> None:
        """The stream limit of the rules is another now."""

    def leave(self) -> None:
        """The sandbox stops."""


class Counters:
    """Counts since the start, or since a reset."""

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
        """All counts by name; what never happened is 0."""
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
    "connections_opened",
    "protocol_errors",
)
