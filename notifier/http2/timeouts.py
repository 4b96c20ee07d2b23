"""What time does to a connection: deadlines without timers, and signs of life."""

from collections import deque
from itertools import takewhile

from notifier.http2 import frames
from notifier.http2.connection import Connection
from notifier.http2.frames import Code

# A peer that is there answers a PING within this.
PING_TIMEOUT_S = 10.0


class Timeouts:
    """Looks at one connection at every tick of its client.

    Stream ids grow with time, so "older than the deadline" is "below the id that was
    next at that time": one mark per tick instead of one timer per request.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        timeout_s: float,
        idle_ping_s: float,
        now: float,
    ) -> None:
        self.connection = connection
        self.opened_at = now
        self._timeout_s = timeout_s
        self._idle_ping_s = idle_ping_s
        # With requests open, silence is suspicious earlier.
        self._patience_s = min(idle_ping_s, timeout_s / 3)
        self._ping_timeout_s = min(PING_TIMEOUT_S, idle_ping_s, timeout_s)
        self._marks: deque[tuple[float, int]] = deque()
        self._heard_at = self._writable_at = now
        self._pinged_at: float | None = None

    def tick(self, now: float) -> None:
        self.connection.demands = 0
        self._expire(now)
        self._listen(now)
        self._see_it_read(now)
        self.connection.fill()

    def _expire(self, now: float) -> None:
        connection = self.connection
        first_alive = 0
        while self._marks and self._marks[0][0] <= now - self._timeout_s:
            first_alive = self._marks.popleft()[1]
        self._marks.append((now, connection.sender.next_id))
        expired = list(takewhile(lambda i: i < first_alive, connection.streams))
        for stream_id in expired:
            reason = f"no answer within {self._timeout_s:g} s"
            connection.drop(stream_id, Code.CANCEL, reason)
        if expired and connection.one_stream and not connection.answers:
            # It would ask one after the other, each for as long.
            connection.close(f"no first answer within {self._timeout_s:g} s")

    def _listen(self, now: float) -> None:
        connection = self.connection
        if connection.heard:
            connection.heard = False
            self._heard_at = now
            self._pinged_at = None
            return
        patience = self._patience_s if connection.streams else self._idle_ping_s
        if self._pinged_at is None:
            if now - self._heard_at >= patience:
                self._pinged_at = now
                ping = frames.frame(frames.PING, 0, 0, b"still up")
                connection.sender.out.append(ping)
        elif now - self._pinged_at >= self._ping_timeout_s:
            connection.close("the peer does not answer PING")

    def _see_it_read(self, now: float) -> None:
        if self.connection.writable:
            self._writable_at = now
        elif now - self._writable_at >= self._timeout_s:
            self.connection.close("the peer does not read")
