"""One HTTP/2 connection on an asyncio transport: its read loop and its end."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import cast

from notifier.http2 import frames, inbound
from notifier.http2.batch import Batch, Queue
from notifier.http2.frames import DATA, HEADERS, Code, PeerError
from notifier.http2.messages import PLAIN_OK
from notifier.http2.pooled import CLOSE_TIMEOUT_S
from notifier.http2.responses import PartialResponse, connection_preface
from notifier.http2.share import Share
from notifier.http2.streams import Streams

log = logging.getLogger(__name__)

# The most requests of one batch that are written before it is the next one's turn.
QUANTUM = 32
# A peer that ends a connection that has served its share does so within this.
_SHARE_GRACE_S = 0.1
_HIGH_WATER = 2**20
# The longest that one connection reads before other tasks of the loop get their turn.
TURN_S = 0.002

_unpack = frames.HEADER.unpack_from
# ":status: 200" as an index of the static table; the peer has no table of its own.
_STATUS_200 = 0x88
_WHOLE = frames.END_HEADERS | frames.END_STREAM


class Connection(asyncio.Protocol):
    """Takes requests from the queue while the peer has room, and ends each of them.

    `on_end` is called once, after all its open requests have been ended.
    """

    def __init__(
        self,
        authority: str,
        queue: Queue,
        on_end: Callable[["Connection"], None],
        *,
        share: Share,
        one_stream_until_answer: bool = False,
        turn_s: float | None = None,
    ) -> None:
        self.authority = authority
        self.share = share
        self.streams = Streams(authority, queue, share)
        self.sender = self.streams.sender
        self.ready = self.streams.ready
        self.ready.add_done_callback(
            lambda ready: ready.cancelled() or ready.exception()
        )
        # Done when the transport is closed.
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = False
        # Ended without a failed request and without an error in GOAWAY: after a
        # shutdown, or by a peer that closed its side after an answer.
        self.graceful = False
        self.one_stream = one_stream_until_answer
        # The peer has sent more than its answers are worth.
        self.is_flooded = False
        # The peer has closed its side, without GOAWAY but after an answer.
        self._shut_by_peer = False
        # When the last request was sent before there was any answer.
        self.unanswered_since = math.inf
        # The write buffer is below its limit.
        self.writable = True
        # Bytes have arrived since the last tick.
        self.received = False
        self._queue = queue
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        # The pool has been told that the connection has soon served its share.
        self._announced = False
        # Runs when it has served its share and the peer has not ended it.
        self._grace: asyncio.TimerHandle | None = None
        # The bytes of an incomplete frame, or of all that has to wait for its turn.
        self._buffer = b""
        self._turn_s = TURN_S if turn_s is None else turn_s
        # The next turn, while there is more to read than one turn allows.
        self._turn: asyncio.Handle | None = None

    @property
    def answers(self) -> int:
        """How many requests have been answered."""
        return self.streams.answers

    @property
    def open_requests(self) -> int:
        """How many requests have no answer yet."""
        return len(self.streams.open)

    @property
    def has_sent(self) -> bool:
        """It has carried a request."""
        return self.sender.next_id > 1

    @property
    def max_streams(self) -> int:
        """How many requests the peer allows at a time."""
        return self.sender.max_streams

    @property
    def is_blocked(self) -> bool:
        """Flow control stops the next request."""
        return self.sender.blocked

    @property
    def draining(self) -> bool:
        """No new streams are opened."""
        return self.streams.draining

    @property
    def served(self) -> bool:
        """It has ended in good order, and at least half of its answers were proper."""
        answers = self.streams.answers
        return self.graceful and 0 < answers >= 2 * self.streams.rebuffs

    @property
    def left(self) -> int:
        """How many more requests the peer is expected to serve on it."""
        return self.share.left(self.sender.next_id // 2, self.streams.answers)

    @property
    def reason(self) -> str:
        """The first known reason for its end."""
        return self.streams.reason

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._transport.write(connection_preface())

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.fill()

    @property
    def room(self) -> int:
        """How many more streams may be opened now."""
        streams, sender = self.streams, self.sender
        if streams.draining or not self.writable or not self.ready.done():
            return 0
        if self.one_stream and not streams.answers:
            return min(sender.max_streams, 1) - len(streams.open)
        return min(sender.max_streams - len(streams.open), self.left)

    def fill(self) -> None:
        """Open streams while there is room and work, and write all frames."""
        while (room := self.room) > 0 and (batch := self._queue.first()):
            if not self.sender.open(batch, min(room, QUANTUM)):
                break
            self.streams.opened_at = time.monotonic()
            if not self.streams.answers:
                self.unanswered_since = self.streams.opened_at
            self._queue.rotate()
        if self.sender.ids_exhausted:
            self.drain("")
        if self.share.requests is not None:
            self._mind_share()
        self.flush()
        if self.streams.draining and not self.streams.open and not self.ended:
            # Not earlier: some servers end all streams when they receive a GOAWAY.
            self.sender.out.append(frames.goaway(Code.NO_ERROR))
            self.close(self.reason)

    def _mind_share(self) -> None:
        """Ask for a successor in time; find out whether the peer ends this one."""
        left = self.left
        is_near = left <= self.share.early
        if is_near and not self._announced:
            self._queue.wake()
        self._announced = is_near
        if self._is_served and self._grace is None:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(_SHARE_GRACE_S, self._outlive_share)

    @property
    def _is_served(self) -> bool:
        streams = self.streams
        return not (self.left or streams.open or streams.draining)

    def _outlive_share(self) -> None:
        self._grace = None
        if self._is_served:
            self.share.forget()
            self._queue.wake()

    def flush(self) -> None:
        transport, out = self._transport, self.sender.out
        if out and transport is not None and not transport.is_closing():
            transport.write(b"".join(out))
            out.clear()

    def data_received(self, data: bytes) -> None:
        self.received = True
        data = self._buffer + data if self._buffer else data
        if self._turn is not None or self._transport is None:
            self._buffer = data
            return
        if self.ended:
            return
        try:
            position = self._read(data, time.perf_counter() + self._turn_s)
        except PeerError as error:
            self.fail(error.code, f"protocol broken: {error.reason}")
            return
        self._buffer = data[position:]
        if self._has_frame():
            self._transport.pause_reading()
            self._turn = asyncio.get_running_loop().call_soon(self._next_turn)
        self.fill()

    @property
    def awaits_turn(self) -> bool:
        """More has arrived than one turn may read."""
        return self._turn is not None

    def _has_frame(self) -> bool:
        """A whole frame waits to be read."""
        waiting = self._buffer
        return len(waiting) >= 9 and len(waiting) >= 9 + int.from_bytes(waiting[:3])

    def _next_turn(self) -> None:
        self._turn = None
        self.data_received(b"")
        if self._turn is None and self._transport is not None:
            self._transport.resume_reading()

    def _read_rest(self) -> None:
        """Read what has waited for its turn when the peer closed the connection."""
        try:
            while self._has_frame():
                position = self._read(self._buffer, math.inf)
                self._buffer = self._buffer[position:]
        except PeerError as error:
            self._set_reason(f"protocol broken: {error.reason}")
            self._buffer = b""

    def _read(self, data: bytes, turn_ends: float) -> int:
        """The hot loop: handle complete frames, return where the next one begins."""
        streams = self.streams
        open_requests, partial = streams.open, streams.partial
        blocked = streams.sender.blocked_bodies
        accepted: dict[int, tuple[Batch, int]] = {}
        # A block that may change a table must not be skipped.
        plain = _STATUS_200 if streams.settings_acknowledged else None
        position, end = 0, len(data)
        try:
            while position + 9 <= end:
                high, low, kind, flags, stream_id = _unpack(data, position)
                start = position + 9
                if high or low > frames.DEFAULT_FRAME_SIZE:
                    reason = "a frame larger than allowed"
                    raise PeerError(Code.FRAME_SIZE_ERROR, reason)
                if start + low > end:
                    break
                position = start + low
                # Nearly all answers are plain 200s; they skip the header decoder.
                if (
                    kind == HEADERS
                    and flags & ~frames.END_STREAM == frames.END_HEADERS
                    and low
                    and data[start] == plain
                    and stream_id in open_requests
                    and stream_id not in partial
                    and streams.header_block is None
                ):
                    if flags != _WHOLE:
                        partial[stream_id] = PartialResponse(200)
                    elif stream_id in blocked:
                        streams.answer(stream_id, PLAIN_OK)
                    else:
                        accepted[stream_id] = open_requests.pop(stream_id)
                    continue
                payload = data[start:position]
                if (
                    kind == DATA
                    and stream_id in partial
                    and streams.header_block is None
                ):
                    streams.add_data(flags, stream_id, payload)
                else:
                    inbound.handle(streams, kind, flags, stream_id, payload)
                    if streams.settings_acknowledged:
                        plain = _STATUS_200
                if time.perf_counter() > turn_ends:
                    break
        finally:
            # Also when a later frame is broken, because these are no longer open.
            streams.accept(accepted)
        return position

    def drain(self, reason: str) -> None:
        """Open no more streams; close after the last open request has ended."""
        self.streams.drain(reason)

    def fail(self, code: Code, reason: str) -> None:
        """Close at once because of the peer's error; open requests fail."""
        self.is_flooded = code == Code.ENHANCE_YOUR_CALM
        log.warning("connection to %s ends: %s", self.authority, reason)
        self.sender.out.append(frames.goaway(code, reason))
        self.close(reason)

    def close(self, reason: str) -> None:
        """Close at once; open requests fail."""
        self._set_reason(reason)
        if self._transport is not None and not self.ended:
            self.flush()
            self._transport.close()
            # TLS waits for the peer's close_notify; a broken peer sends none.
            loop = asyncio.get_running_loop()
            loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        streams = self.streams
        if self._turn is not None:
            self._turn.cancel()
            self._read_rest()
        if not streams.draining and streams.answers:
            if streams.in_use:
                self.share.learn(streams.answers)
            self._shut_by_peer = error is None
        self._set_reason(f"connection lost: {error}" if error else "closed by the peer")
        if not self.closed.done():
            self.closed.set_result(None)
        self._end()

    def _set_reason(self, reason: str) -> None:
        self.streams.reason = self.streams.reason or reason

    def _end(self) -> None:
        if self.ended:
            return
        streams = self.streams
        in_order = streams.draining or self._shut_by_peer
        self.graceful = in_order and not streams.open and not streams.goaway_error
        self.ended = streams.draining = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.reason))
        streams.fail_all(self.reason)
        self._on_end(self)
