"""One HTTP/1.1 connection, for servers that do not speak HTTP/2."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import cast

import h11
from hpack import Decoder

from notifier.http2.batch import Batch, Queue
from notifier.http2.budget import Budget
from notifier.http2.frames import Code, PeerError
from notifier.http2.messages import Head, Request, Response
from notifier.http2.pooled import CLOSE_TIMEOUT_S, REBUFFS
from notifier.http2.responses import MAX_BODY, MAX_HEADER_BLOCK, SMALL_DATA
from notifier.http2.share import UNLIMITED
from notifier.outcome import ChannelDown

log = logging.getLogger(__name__)

# An event of this parser costs more than a frame.
_CAPACITY = 512
_INTERIM_COST = 8


class _Exchange:
    """A request that was sent, and its response until it is complete."""

    __slots__ = ("batch", "body", "fields", "index", "is_heard", "status")

    def __init__(self, batch: Batch, index: int) -> None:
        self.batch = batch
        self.index = index
        # The peer has sent something since the request.
        self.is_heard = False
        # 0 until the response has begun.
        self.status = 0
        self.fields: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()

    def begin(self, response: h11.Response) -> None:
        self.status = response.status_code
        self.fields = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.headers
        )

    def response(self) -> Response:
        return Response(self.status, self.fields, bytes(self.body))


class Http1Connection(asyncio.Protocol):
    """Takes one request at a time from the queue; the pool sees it as any other.

    A request that finds a kept connection closed is sent again on the next one: the
    server closes idle connections at any time, and this one has said nothing to it.
    """

    max_streams = 1
    # It has neither a window nor a number of requests known in advance.
    is_blocked = False
    left = UNLIMITED

    def __init__(
        self,
        authority: str,
        queue: Queue,
        on_end: Callable[["Http1Connection"], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.authority = authority
        self.answers = 0
        self.reason = ""
        self.draining = self.ended = self.graceful = self.is_flooded = False
        self.has_sent = False
        self.unanswered_since = math.inf
        # When the open request was sent, or the last one was answered.
        self.changed_at = time.monotonic()
        # At once: the protocol has no greeting.
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._queue = queue
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._parser = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BLOCK
        )
        self._budget = Budget(_CAPACITY)
        self._rebuffs = 0
        self._exchange: _Exchange | None = None

    @property
    def open_requests(self) -> int:
        return int(self._exchange is not None)

    @property
    def room(self) -> int:
        """How many more requests may be sent now."""
        is_free = self._transport is not None and self._exchange is None
        return int(is_free and not self.draining)

    @property
    def served(self) -> bool:
        """It has ended in good order, and at least half of its answers were proper."""
        return self.graceful and 0 < self.answers >= 2 * self._rebuffs

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.ready.set_result(None)

    def fill(self) -> None:
        """Send the next request if none is open."""
        while self.room and (batch := self._queue.first()):
            (index,) = batch.take(1)
            self._queue.rotate()
            try:
                message = _message(batch.head, batch.requests[index], self.authority)
            except h11.LocalProtocolError as problem:
                batch.fail(1, ChannelDown(f"not a valid request: {problem}"))
            else:
                self._exchange = _Exchange(batch, index)
                self._send(message, batch.requests[index].body)
        if self.draining and self._exchange is None and not self.ended:
            self.close(self.reason)

    def _send(self, message: h11.Request, body: bytes) -> None:
        events = (message, h11.Data(data=body), h11.EndOfMessage())
        parts = [self._parser.send(event) or b"" for event in events]
        self.has_sent = True
        self.changed_at = time.monotonic()
        if not self.answers:
            self.unanswered_since = self.changed_at
        if self._transport is not None:
            self._transport.write(b"".join(parts))

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        if self._exchange is None:
            # Such as a 408, with which a server ends an idle connection.
            self.drain("the peer speaks without being asked")
        else:
            self._exchange.is_heard = True
            self._receive(data)
        self.fill()

    def _receive(self, data: bytes) -> None:
        """Parse what has arrived; empty data is the end of the connection."""
        try:
            self._parser.receive_data(data)
            while (exchange := self._exchange) is not None:
                event = self._parser.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._apply(exchange, event)
        except h11.RemoteProtocolError as error:
            self._fail(Code.PROTOCOL_ERROR, f"protocol broken: {error}")
        except PeerError as error:
            self._fail(error.code, f"protocol broken: {error.reason}")

    def _apply(self, exchange: _Exchange, event: object) -> None:
        if isinstance(event, h11.InformationalResponse):
            if event.status_code == 101:
                raise PeerError(Code.PROTOCOL_ERROR, "a change of the protocol")
            self._budget.charge(_INTERIM_COST, self.answers)
        elif isinstance(event, h11.Response):
            exchange.begin(event)
        elif isinstance(event, h11.Data):
            exchange.body += event.data
            if len(exchange.body) > MAX_BODY:
                reason = "an answer larger than any provider's"
                raise PeerError(Code.CANCEL, reason)
            if len(event.data) < SMALL_DATA:
                self._budget.charge(1, self.answers)
        elif isinstance(event, h11.EndOfMessage):
            self._complete(exchange)

    def _complete(self, exchange: _Exchange) -> None:
        """The response has arrived to its last byte."""
        self._exchange = None
        self.changed_at = time.monotonic()
        self.answers += 1
        self._rebuffs += exchange.status >= 500 or exchange.status in REBUFFS
        try:
            self._parser.start_next_cycle()
        except h11.LocalProtocolError:
            self.drain("the peer keeps no connection")
        if self._parser.trailing_data[0]:
            self.drain("the peer sends more than its answer")
        exchange.batch.answer(exchange.index, exchange.response())

    def drain(self, reason: str) -> None:
        """Send no more requests; close after the open one has ended."""
        if not self.draining:
            self.draining = True
            # Waiting requests need another connection now.
            self._queue.wake()
        self._set_reason(reason)

    def _fail(self, code: Code, reason: str) -> None:
        """Close at once because of the peer's error; an open request fails."""
        log.warning("connection to %s ends: %s", self.authority, reason)
        self.is_flooded = code == Code.ENHANCE_YOUR_CALM
        self.close(reason)

    def close(self, reason: str) -> None:
        """Close at once; an open request fails."""
        self._set_reason(reason)
        if self._transport is not None and not self.ended:
            self._transport.close()
            # TLS waits for the peer's close_notify; a broken peer sends none.
            loop = asyncio.get_running_loop()
            loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.status and error is None:
            # The end of the connection may be the end of the body.
            self._receive(b"")
        self._set_reason(f"connection lost: {error}" if error else "closed by the peer")
        if not self.closed.done():
            self.closed.set_result(None)
        self._end()

    def _set_reason(self, reason: str) -> None:
        self.reason = self.reason or reason

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = self.draining = True
        exchange, self._exchange = self._exchange, None
        # The server closed a connection that it had kept, and said nothing more.
        was_idle = (
            exchange is not None
            and not exchange.is_heard
            and self.answers > 0
            and self.closed.done()
        )
        self.graceful = self.answers > 0 and (exchange is None or was_idle)
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.reason))
        if exchange is not None and was_idle:
            exchange.batch.requeue(exchange.index, self.reason)
        elif exchange is not None:
            exchange.batch.fail(1, ChannelDown(self.reason))
        self._on_end(self)


def _message(head: Head, request: Request, authority: str) -> h11.Request:
    """The request's head; raises LocalProtocolError if HTTP does not allow it."""
    fields = [("host", authority), *head.headers]
    fields += [
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
        # They come encoded for HTTP/2.
        for name, value in Decoder().decode(request.fields, raw=True)
    ]
    fields.append(("content-length", str(len(request.body))))
    target = request.path if head.path is None else head.path
    return h11.Request(method=head.method, target=target or b"", headers=fields)
