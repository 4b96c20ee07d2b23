"""When a peer that could not be reached, or kept for long, may be tried again."""

import random

from notifier.http2.connection import Connection
from notifier.outcome import ChannelDown

_FIRST_S = 0.5
_MOST_S = 60.0
# A connection that lived so long was a good one, however it ended.
_GOOD_LIFE_S = 5.0

# After the first ones, so many connections a second are no storm.
_DIALS_PER_S = 1.0


class DialRate:
    """Spreads dials out, however good the reasons for each of them are.

    A peer that ends every connection in good order, after an answer or two, would
    otherwise see us come back as fast as it can say goodbye.
    """

    def __init__(self, burst: int) -> None:
        self._burst = float(burst)
        self._permits = float(burst)
        self._filled_at = 0.0

    def take(self, now: float) -> float:
        """The seconds to wait before the next dial, which is thereby counted."""
        grown = (now - self._filled_at) * _DIALS_PER_S
        self._permits = min(self._permits + grown, self._burst) - 1
        self._filled_at = now
        return max(-self._permits / _DIALS_PER_S, 0.0)


class Backoff:
    """Counts failures in a row and stretches the pause after each, with jitter."""

    def __init__(self) -> None:
        self._failures = 0
        self._retry_at = 0.0
        self._why = ""

    def failed(self, reason: str, now: float) -> None:
        """Nobody was reached, or nothing came of it."""
        if now < self._retry_at:
            # Several dials at once that fail at once are one failure.
            return
        self._failures += 1
        self._why = reason
        pause = min(_FIRST_S * 2 ** min(self._failures - 1, 10), _MOST_S)
        self._retry_at = now + pause * random.uniform(0.5, 1.0)

    def ended(self, connection: Connection, lived_s: float, now: float) -> None:
        """A connection is over; judge it by what it was good for."""
        if connection.answers and (connection.orderly or lived_s > _GOOD_LIFE_S):
            self._failures = 0
        elif connection.answers and not self._failures:
            # It worked, so the next may be opened at once, but not one after another.
            self._failures = 1
        elif connection.sender.next_id > 1 or not connection.orderly:
            self.failed(connection.reason, now)

    def down(self, now: float) -> ChannelDown | None:
        """Why the peer must be left alone for now, and for how long."""
        if now >= self._retry_at:
            return None
        return ChannelDown(self._why, retry_after_s=self._retry_at - now)
