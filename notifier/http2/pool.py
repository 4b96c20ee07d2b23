"""The connection pool of one origin: dials, replaces and closes connections."""

import asyncio
import logging
import time
from collections.abc import Sequence

from notifier.http2.backoff import Backoff, DialRate
from notifier.http2.batch import Queue
from notifier.http2.connection import Connection
from notifier.http2.dial import Peer, dial
from notifier.http2.http1 import Http1Connection
from notifier.http2.http1_timeouts import Http1Timeouts
from notifier.http2.pooled import CLOSE_TIMEOUT_S, Pooled
from notifier.http2.share import Share
from notifier.http2.timeouts import Timeouts
from notifier.outcome import ChannelDown

log = logging.getLogger(__name__)

# How often the pool checks whether another connection would help.
_GROWTH_CHECK_S = 0.02
# Above this share of a core our own CPU is the limit, not the number of connections.
_BUSY = 0.75
# How long open requests may take after close().
_DRAIN_TIMEOUT_S = 2.0


class Pool:
    """Gives the queue enough connections, or fails it if there can be none."""

    def __init__(
        self,
        peer: Peer,
        *,
        max_connections: int,
        one_stream_until_answer: bool,
        request_timeout_s: float,
        connect_timeout_s: float,
        idle_ping_s: float,
    ) -> None:
        self.queue = Queue(self._wake)
        self._peer = peer
        self._max_connections = max_connections
        self._one_stream = one_stream_until_answer
        self._request_timeout_s = request_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._idle_ping_s = idle_ping_s
        # After this a second connection is opened beside one without an answer yet.
        self._first_answer_s = request_timeout_s / 20
        self._backoff = Backoff()
        self._dial_rate = DialRate(2 * max_connections)
        self._share = Share()
        # The last connection that ended had served its share.
        self._has_served = False
        self._answers = 0
        self._timeouts: dict[Pooled, Timeouts | Http1Timeouts] = {}
        self._dials: set[asyncio.Task[None]] = set()
        self._closed = False
        self._wake_scheduled = False
        shortest_s = min(request_timeout_s / 20, idle_ping_s / 4)
        self._tick_s = min(1.0, max(0.02, shortest_s))
        self._ticking: asyncio.TimerHandle | None = None
        self._growth: asyncio.TimerHandle | None = None
        # Wall clock and our own CPU time when the growth check was scheduled.
        self._sampled_at = (0.0, 0.0)

    @property
    def connections(self) -> list[Pooled]:
        """The connections that still open streams, now or once they have room."""
        return [c for c in self._timeouts if not c.draining]

    @property
    def answers(self) -> int:
        """How many requests have been answered, over all connections so far."""
        return self._answers + sum(connection.answers for connection in self._timeouts)

    def down(self) -> ChannelDown | None:
        """Why a request must fail at once; None if it may wait in the queue."""
        if self._closed:
            return ChannelDown("the client is closed")
        if self.connections or self._dials:
            return None
        return self._backoff.down(time.monotonic())

    def _wake(self) -> None:
        """Schedule one look at the queue, however many batches ask for it."""
        if not self._wake_scheduled:
            self._wake_scheduled = True
            asyncio.get_running_loop().call_soon(self._assign)

    def _assign(self) -> None:
        self._wake_scheduled = False
        self._schedule_tick()
        for connection in self.connections:
            connection.fill()
        self._dial_ahead()
        if self.queue.first() is None:
            return
        if self.connections:
            self._schedule_growth_check()
        elif not self._dials:
            self._dial_or_fail()

    def _dial_ahead(self) -> None:
        """Replace connections that have soon served their share."""
        share, connections = self._share.requests, self.connections
        if share is None or not self._has_served or self._closed:
            return
        waiting = self.queue.waiting
        in_use = waiting or any(c.open_requests for c in connections)
        if not in_use or self._backoff.down(time.monotonic()):
            return
        left = sum(c.left for c in connections) + share * len(self._dials)
        places = self._max_connections - len(connections) - len(self._dials)
        while left < waiting + self._share.early and places > 0:
            self._start_dial()
            left += share
            places -= 1

    def _dial_or_fail(self) -> None:
        now = time.monotonic()
        unanswered = [c for c in self._timeouts if not c.answers]
        if len(unanswered) > 1 and not self._has_served:
            # They are draining and have answered nothing: no third connection for now.
            if now - unanswered[-1].unanswered_since < self._first_answer_s:
                # The end of one of them, or the next tick, brings us back here.
                return
            self._backoff.failed(unanswered[-1].reason, now)
        fault = self.down()
        if fault is None:
            self._start_dial()
        else:
            self.queue.fail_all(fault)

    def _start_dial(self) -> None:
        task = asyncio.get_running_loop().create_task(self._dial())
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self) -> None:
        await self._dial_rate.turn()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await dial(self._peer, self._new_connection)
        except TimeoutError:
            self._dial_failed(f"no connection within {self._connect_timeout_s:g} s")
        # Names, addresses, proxies and TLS fail in more ways than OSError.
        except Exception as error:
            self._dial_failed(str(error) or type(error).__name__)
        else:
            self._dial_succeeded(connection)

    def _new_connection(self, protocol: str | None) -> Connection | Http1Connection:
        """For the protocol that the peer has chosen in the TLS handshake."""
        if protocol != "h2":
            authority = self._peer.authority
            return Http1Connection(authority, self.queue, self._connection_ended)
        return Connection(
            self._peer.authority,
            self.queue,
            self._connection_ended,
            share=self._share,
            one_stream_until_answer=self._one_stream,
        )

    def _dial_succeeded(self, connection: Connection | Http1Connection) -> None:
        # The task stays in the set for one more loop iteration. If the connection ended
        # in that iteration, the pool would wait for a dial that is already over.
        self._dials -= {asyncio.current_task()}
        if connection.ended:
            self._dial_failed(connection.reason)
            return
        self._timeouts[connection] = self._new_timeouts(connection)
        self._wake()

    def _new_timeouts(
        self, connection: Connection | Http1Connection
    ) -> Timeouts | Http1Timeouts:
        timeout_s, idle_s = self._request_timeout_s, self._idle_ping_s
        if isinstance(connection, Http1Connection):
            return Http1Timeouts(connection, timeout_s=timeout_s, idle_s=idle_s)
        return Timeouts(
            connection,
            timeout_s=timeout_s,
            idle_ping_s=idle_s,
            now=time.monotonic(),
        )

    def _dial_failed(self, reason: str) -> None:
        reason = f"{self._peer.authority}: {reason}"
        log.warning("cannot reach %s", reason)
        self._backoff.failed(reason, time.monotonic())
        # Now, not in the task's callback: if two dials fail in one loop iteration, the
        # second must see that it is the last.
        current = asyncio.current_task()
        if current is not None:
            self._dials.discard(current)
        if not self.connections and not self._dials:
            self._fail_queue()

    def _fail_queue(self) -> None:
        fault = self._backoff.down(time.monotonic())
        if fault is None:
            # The pause is already over: dial again.
            self._wake()
        else:
            self.queue.fail_all(fault)

    def _connection_ended(self, connection: Pooled) -> None:
        timeouts = self._timeouts.pop(connection, None)
        if timeouts is None:
            # It was never ready; the dial reports the reason.
            return
        self._answers += connection.answers
        now = time.monotonic()
        self._backoff.connection_ended(connection, now - timeouts.opened_at, now)
        self._has_served = connection.served
        if connection.served:
            self._dial_rate.give_back()
        known = (connection, *self.connections)
        if self._one_stream and not any(c.answers for c in known):
            # No connection has answered anything, so waiting requests fail now.
            self._fail_queue()
        if not self._closed:
            self._wake()

    def _schedule_growth_check(self) -> None:
        """Check again soon whether streams per round trip are the limit."""
        if self._growth is None and self.connections:
            self._sampled_at = (time.monotonic(), time.thread_time())
            loop = asyncio.get_running_loop()
            self._growth = loop.call_later(_GROWTH_CHECK_S, self._grow)

    def _grow(self) -> None:
        self._growth = None
        if self.queue.first() is None or self._closed:
            return
        wall, cpu = self._sampled_at
        busy = (time.thread_time() - cpu) / max(time.monotonic() - wall, 1e-6)
        if (busy < _BUSY and self._another_would_help()) or self._answers_are_late():
            self._start_dial()
        self._schedule_growth_check()

    def _another_would_help(self) -> bool:
        """Requests wait, all streams are in use, and the peer has answered before."""
        connections = self.connections
        if len(connections) + len(self._dials) >= self._max_connections:
            return False
        if self._backoff.down(time.monotonic()) or any(
            c.room > 0 and not c.is_blocked for c in connections
        ):
            return False
        # A peer that allows no stream now would allow none on another connection.
        streams = min((c.max_streams for c in connections), default=0)
        if not streams or not any(c.answers for c in connections):
            return False
        return self.queue.waiting > streams * len(self._dials)

    def _answers_are_late(self) -> bool:
        """Every connection waits too long for its first answer.

        The peer may be slow about one device only, so the next request gets another
        connection. If that is silent, too, the third is opened after twice the time.
        Within a request's deadline that makes five connections.
        """
        connections = self.connections
        if not self._one_stream or not connections or self._dials:
            return False
        if any(c.answers for c in connections):
            return False
        now = time.monotonic()
        if len(connections) >= self._max_connections or self._backoff.down(now):
            return False
        timeout_s = self._first_answer_s * 2.0 ** (len(connections) - 1)
        return now - max(c.unanswered_since for c in connections) >= timeout_s

    def _schedule_tick(self) -> None:
        if self._ticking is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._ticking = loop.call_later(self._tick_s, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = time.monotonic()
        for timeouts in list(self._timeouts.values()):
            timeouts.tick(now)
        self.queue.tick(
            round(self._request_timeout_s / self._tick_s),
            ChannelDown(f"nothing could be sent for {self._request_timeout_s:g} s"),
        )
        if self.queue.first() is not None:
            self._wake()
        if self._timeouts or self._dials or self.queue.first() is not None:
            self._schedule_tick()

    async def close(self) -> None:
        """Wait briefly for open requests, then close all connections."""
        self._closed = True
        self.queue.fail_all(ChannelDown("the client is closed"))
        dials = list(self._dials)
        for task in dials:
            task.cancel()
        connections = list(self._timeouts)
        for connection in connections:
            connection.drain("the client is closed")
            connection.fill()
        await _wait_closed(connections, _DRAIN_TIMEOUT_S)
        for connection in connections:
            connection.close("the client is closed")
        await _wait_closed(connections, CLOSE_TIMEOUT_S)
        await asyncio.gather(*dials, return_exceptions=True)
        for timer in (self._growth, self._ticking):
            if timer is not None:
                timer.cancel()


async def _wait_closed(connections: Sequence[Pooled], timeout_s: float) -> None:
    """Wait until all of them are closed, or for the timeout."""
    if connections:
        await asyncio.wait([c.closed for c in connections], timeout=timeout_s)
