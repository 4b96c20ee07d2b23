"""Request deadlines, keep-alive pings and write timeouts of a connection."""

from collections import deque
from itertools import takewhile

from notifier.http2 import frames
from notifier.http2.connection import Connection
from notifier.http2.frames import Code

# A live peer answers a PING within this.
PING_TIMEOUT_S = 10.0
# A peer that answers nothing sends no more frames than this, and one a second.
QUIET_FRAMES = 60


class Timeouts:
    """Checks one connection at every tick of the pool.

    Stream ids grow with time: a request is too old if its id is below the one that was
    next at the deadline. So each tick records one id, and no request has a timer.
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
        # With requests open, a silent peer is pinged earlier.
        self._busy_ping_s = min(idle_ping_s, timeout_s / 3)
        self._ping_timeout_s = min(PING_TIMEOUT_S, idle_ping_s, timeout_s)
        self._marks: deque[tuple[float, int]] = deque()
        self._received_at = self._writable_at = now
        self._pinged_at: float | None = None
        # When a period began, the answers and the spent budget at that time.
        self._period = (now, 0, 0)

    def tick(self, now: float) -> None:
        self._expire_requests(now)
        self._check_alive(now)
        self._check_writable(now)
        self._check_talk(now)
        self.connection.fill()

    def _expire_requests(self, now: float) -> None:
        connection = self.connection
        first_in_time = 0
        while self._marks and self._marks[0][0] <= now - self._timeout_s:
            first_in_time = self._marks.popleft()[1]
        self._marks.append((now, connection.sender.next_id))
        expired = list(takewhile(lambda i: i < first_in_time, connection.streams.open))
        for stream_id in expired:
            reason = f"no answer within {self._timeout_s:g} s"
            connection.streams.reset(stream_id, Code.CANCEL, reason)
        if expired and connection.one_stream and not connection.answers:
            # The next requests would each wait as long, one after the other.
            connection.close(f"no first answer within {self._timeout_s:g} s")

    def _check_alive(self, now: float) -> None:
        connection = self.connection
        if connection.received:
            connection.received = False
            self._received_at = now
            self._pinged_at = None
            return
        silence_s = self._busy_ping_s if connection.streams.open else self._idle_ping_s
        if self._pinged_at is None:
            if now - self._received_at >= silence_s:
                self._pinged_at = now
                ping = frames.frame(frames.PING, 0, 0, b"still up")
                connection.sender.out.append(ping)
        elif now - self._pinged_at >= self._ping_timeout_s:
            connection.close("the peer does not answer PING")

    def _check_writable(self, now: float) -> None:
        if self.connection.writable:
            self._writable_at = now
        elif now - self._writable_at >= self._timeout_s:
            self.connection.close("the peer does not read")

    def _check_talk(self, now: float) -> None:
        """End a connection on which the peer talks and answers nothing."""
        connection = self.connection
        began_at, answers, spent = self._period
        length_s = now - began_at
        if length_s < self._idle_ping_s:
            return
        talked = connection.streams.budget.spent - spent
        if connection.answers == answers and talked > QUIET_FRAMES + length_s:
            reason = f"{talked} frames in {length_s:.0f} s, and no answer among them"
            connection.fail(Code.ENHANCE_YOUR_CALM, reason)
            return
        self._period = (now, connection.answers, connection.streams.budget.spent)
