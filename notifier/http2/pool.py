"""The connections to one origin: opened when needed, watched, replaced, ended."""

import asyncio
import logging
import time
from collections.abc import Sequence

from notifier.http2.backoff import Backoff, DialRate
from notifier.http2.batch import Queue
from notifier.http2.connection import FAREWELL_S, Connection
from notifier.http2.dial import Peer, dial
from notifier.http2.timeouts import Timeouts
from notifier.outcome import ChannelDown

log = logging.getLogger(__name__)

# Between two looks at whether another connection would help.
_GROWTH_CHECK_S = 0.02
# Busier than this we are the limit ourselves, and more connections only cost.
_BUSY = 0.75
_GRACE_S = 2.0


class Pool:
    """Sees to it that what is in the queue is sent, or told why it cannot be."""

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
        # A first request may keep its connection waiting; this is when it is too long.
        self._patience_s = request_timeout_s / 20
        self._backoff = Backoff()
        self._dial_rate = DialRate(2 * max_connections)
        self._answers = 0
        self._timeouts: dict[Connection, Timeouts] = {}
        self._dials: set[asyncio.Task[None]] = set()
        self._closed = False
        self._woken = False
        shortest_s = min(request_timeout_s / 20, idle_ping_s / 4)
        self._tick_s = min(1.0, max(0.02, shortest_s))
        self._ticking: asyncio.TimerHandle | None = None
        self._growth: asyncio.TimerHandle | None = None
        # Wall clock and our own CPU time at the last look.
        self._looked_at = (0.0, 0.0)

    @property
    def connections(self) -> list[Connection]:
        """Those that take requests, or will when they have room again."""
        return [c for c in self._timeouts if not c.draining]

    @property
    def answers(self) -> int:
        """How many requests have been answered, over all connections there were."""
        return self._answers + sum(connection.answers for connection in self._timeouts)

    def down(self) -> ChannelDown | None:
        """Why a request cannot even wait now; None when it can."""
        if self._closed:
            return ChannelDown("the client is closed")
        if self.connections or self._dials:
            return None
        return self._backoff.down(time.monotonic())

    def _wake(self) -> None:
        """Once per loop turn, however many batches came in it."""
        if not self._woken:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._spread)

    def _spread(self) -> None:
        self._woken = False
        self._keep_ticking()
        for connection in self.connections:
            connection.fill()
        if self.queue.first() is None:
            return
        if self.connections:
            self._consider_growth()
        elif not self._dials:
            self._dial_or_give_up()

    def _dial_or_give_up(self) -> None:
        silent = [c for c in self._timeouts if not c.answers]
        if len(silent) > 1:
            # They took requests, said goodbye and owe the answers: no third for now.
            self._backoff.failed(silent[-1].reason, time.monotonic())
        fault = self.down()
        if fault is None:
            self._start_dial()
        else:
            self.queue.lose_all(fault)

    def _start_dial(self) -> None:
        task = asyncio.get_running_loop().create_task(self._dial())
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self) -> None:
        if pause_s := self._dial_rate.take(time.monotonic()):
            await asyncio.sleep(pause_s)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await dial(self._peer, self._new_connection)
        except TimeoutError:
            self._not_reached(f"no connection within {self._connect_timeout_s:g} s")
        # Names, addresses, proxies and TLS fail in more ways than OSError.
        except Exception as error:
            self._not_reached(str(error) or type(error).__name__)
        else:
            self._reached(connection)

    def _new_connection(self) -> Connection:
        return Connection(
            self._peer.authority,
            self.queue,
            self._ended,
            one_stream_until_answer=self._one_stream,
        )

    def _reached(self, connection: Connection) -> None:
        # The task lives on for a turn of the loop. Should the connection end in that
        # turn, the next look must not take it for one that is still to come.
        self._dials -= {asyncio.current_task()}
        if connection.ended:
            self._not_reached(connection.reason)
            return
        self._timeouts[connection] = Timeouts(
            connection,
            timeout_s=self._request_timeout_s,
            idle_ping_s=self._idle_ping_s,
            now=time.monotonic(),
        )
        self._wake()

    def _not_reached(self, reason: str) -> None:
        reason = f"{self._peer.authority}: {reason}"
        log.warning("cannot reach %s", reason)
        self._backoff.failed(reason, time.monotonic())
        # At once, not when the task's callback runs: of two dials that fail in the
        # same turn of the loop, the second must see that it is the last.
        current = asyncio.current_task()
        if current is not None:
            self._dials.discard(current)
        if not self.connections and not self._dials:
            self._lose_queue()

    def _lose_queue(self) -> None:
        fault = self._backoff.down(time.monotonic())
        if fault is None:
            # The pause is over before we came to look: dial again.
            self._wake()
        else:
            self.queue.lose_all(fault)

    def _ended(self, connection: Connection) -> None:
        timeouts = self._timeouts.pop(connection, None)
        if timeouts is None:
            # It was never ready: the dial that made it says why.
            return
        self._answers += connection.answers
        now = time.monotonic()
        self._backoff.ended(connection, now - timeouts.opened_at, now)
        known = (connection, *self.connections)
        if self._one_stream and not any(c.answers for c in known):
            # Those that are left have shown nothing either: who waits may know.
            self._lose_queue()
        if not self._closed:
            self._wake()

    def _consider_growth(self) -> None:
        """Look again soon whether streams per round trip are what holds us up."""
        if self._growth is None and self.connections:
            self._looked_at = (time.monotonic(), time.thread_time())
            loop = asyncio.get_running_loop()
            self._growth = loop.call_later(_GROWTH_CHECK_S, self._grow)

    def _grow(self) -> None:
        self._growth = None
        if self.queue.first() is None or self._closed:
            return
        wall, cpu = self._looked_at
        busy = (time.thread_time() - cpu) / max(time.monotonic() - wall, 1e-6)
        if (busy < _BUSY and self._another_would_help()) or self._first_ones_hang():
            self._start_dial()
        self._consider_growth()

    def _another_would_help(self) -> bool:
        """Requests wait, every stream is in use, and the peer has shown it works."""
        connections = self.connections
        if len(connections) + len(self._dials) >= self._max_connections:
            return False
        if self._backoff.down(time.monotonic()) or any(
            c.room > 0 and not c.sender.shut for c in connections
        ):
            return False
        # A peer that allows no stream wants to be left alone.
        streams = min((c.sender.max_streams for c in connections), default=0)
        if not streams or not any(c.answers for c in connections):
            return False
        return self.queue.waiting > streams * len(self._dials)

    def _first_ones_hang(self) -> bool:
        """Nothing moves because each connection waits for its first answer.

        One device may be what the peer is slow about, so the next request goes ahead
        on a connection of its own; if that is silent too, the third waits twice as
        long. Within a request's deadline that makes five of them.
        """
        connections = self.connections
        if not self._one_stream or not connections or self._dials:
            return False
        if any(c.answers for c in connections):
            return False
        now = time.monotonic()
        if len(connections) >= self._max_connections or self._backoff.down(now):
            return False
        patience_s = self._patience_s * 2.0 ** (len(connections) - 1)
        return now - max(c.asked_at for c in connections) >= patience_s

    def _keep_ticking(self) -> None:
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
        if self._timeouts or self._dials or self.queue.first() is not None:
            self._keep_ticking()

    async def close(self) -> None:
        """Let open requests end for a moment, say goodbye, and end everything."""
        self._closed = True
        self.queue.lose_all(ChannelDown("the client is closed"))
        dials = list(self._dials)
        for task in dials:
            task.cancel()
        connections = list(self._timeouts)
        for connection in connections:
            connection.drain("the client is closed")
            connection.fill()
        await _wait_for(connections, _GRACE_S)
        for connection in connections:
            connection.close("the client is closed")
        await _wait_for(connections, FAREWELL_S)
        await asyncio.gather(*dials, return_exceptions=True)
        for timer in (self._growth, self._ticking):
            if timer is not None:
                timer.cancel()


async def _wait_for(connections: Sequence[Connection], timeout_s: float) -> None:
    """Until all of them are gone, and not longer."""
    if connections:
        await asyncio.wait([c.gone for c in connections], timeout=timeout_s)
