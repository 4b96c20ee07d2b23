"""What the pool asks of a connection, whichever protocol it speaks."""

import asyncio
from typing import Protocol

# How long the peer may take to close its side.
CLOSE_TIMEOUT_S = 1.0
# The peer answers, but wants to be left alone, as with any 5xx.
REBUFFS = {401, 403, 429}


class Pooled(Protocol):
    """A connection that takes requests from the pool's queue."""

    # Done with the peer's greeting, or with the reason there was none.
    ready: asyncio.Future[None]
    # Done when the transport is closed.
    closed: asyncio.Future[None]
    ended: bool
    # Ended without a failed request and without an error of the peer.
    graceful: bool
    # The peer has sent more than its answers are worth.
    is_flooded: bool
    # When the last request was sent before there was any answer.
    unanswered_since: float

    @property
    def answers(self) -> int:
        """How many requests have been answered."""

    @property
    def draining(self) -> bool:
        """It takes no more requests."""

    @property
    def served(self) -> bool:
        """It has ended in good order, and at least half of its answers were proper."""

    @property
    def left(self) -> int:
        """How many more requests the peer is expected to serve on it."""

    @property
    def reason(self) -> str:
        """The first known reason for its end."""

    @property
    def room(self) -> int:
        """How many more requests may be sent now."""

    @property
    def open_requests(self) -> int:
        """How many requests have no answer yet."""

    @property
    def has_sent(self) -> bool:
        """It has carried a request."""

    @property
    def max_streams(self) -> int:
        """How many requests the peer allows at a time."""

    @property
    def is_blocked(self) -> bool:
        """Flow control stops the next request."""

    def fill(self) -> None:
        """Send requests while there is room and work."""

    def drain(self, reason: str) -> None:
        """Take no more requests; close after the last open one has ended."""

    def close(self, reason: str) -> None:
        """Close at once; open requests fail."""
