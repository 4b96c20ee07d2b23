"""One HTTP/2 connection on an asyncio transport: the hot path in, and its end."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import cast

from notifier.http2 import frames, headers, inbound, replies
from notifier.http2.batch import Batch, Queue
from notifier.http2.frames import DATA, HEADERS, Code, PeerError
from notifier.http2.messages import Response
from notifier.http2.replies import Block, Reply
from notifier.http2.sending import Sender
from notifier.outcome import ChannelDown

log = logging.getLogger(__name__)

# A batch's requests are written so many at a time, then it is the next one's turn.
QUANTUM = 32
# How long the peer may take to say goodbye.
FAREWELL_S = 1.0
_HIGH_WATER = 2**20

_unpack = frames.HEADER.unpack_from
# ":status: 200" as an index of the static table; the peer has no table of its own.
_STATUS_200 = 0x88
_OK = Response(200, (), b"")


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
        one_stream_until_answer: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.authority = authority
        self.sender = Sender(authority)
        self.streams = self.sender.streams
        # Done with the peer's first SETTINGS, or with the reason there were none.
        self.ready: asyncio.Future[None] = loop.create_future()
        # Done when the transport is closed.
        self.gone: asyncio.Future[None] = loop.create_future()
        self.ready.add_done_callback(
            lambda ready: ready.cancelled() or ready.exception()
        )
        self.replies: dict[int, Reply] = {}
        self.block: Block | None = None
        self.answers = 0
        # When it was last asked something before it had answered anything.
        self.asked_at = math.inf
        # No new streams: the peer or we are leaving.
        self.draining = False
        self.ended = False
        # The peer leaves because of something it did not like.
        self.blamed = False
        # Announced, without loss and without blame, as opposed to a breakdown.
        self.orderly = False
        # Why it ends, as well as we know.
        self.reason = ""
        # The peer reads what we write.
        self.writable = True
        # Something has arrived since the last look.
        self.heard = False
        # Frames since the last tick that made us answer, or were of no use.
        self.demands = 0
        self.receive_window = replies.WINDOW
        # Whether the peer has acknowledged our settings, and so keeps no table.
        self.acknowledged = False
        self.fields = headers.Fields(replies.LARGEST_LIST)
        self._queue = queue
        self._on_end = on_end
        self.one_stream = one_stream_until_answer
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._transport.write(replies.greeting())
        if self._rest:
            # Behind a proxy data may come before the transport is known.
            self.data_received(b"")

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.fill()

    @property
    def room(self) -> int:
        """How many more streams may be opened now."""
        if self.draining or not self.writable or not self.ready.done():
            return 0
        if self.one_stream and not self.answers:
            return min(self.sender.max_streams, 1) - len(self.streams)
        return self.sender.max_streams - len(self.streams)

    def fill(self) -> None:
        """Open as many streams as there is room and work for; write out all frames."""
        while (room := self.room) > 0 and (batch := self._queue.first()):
            if not self.sender.open(batch, min(room, QUANTUM)):
                break
            if not self.answers:
                self.asked_at = time.monotonic()
            self._queue.turn()
        if self.sender.exhausted:
            self.drain("")
        self.flush()
        if self.draining and not self.streams and not self.ended:
            # Not earlier: to some servers a GOAWAY is the end of all streams.
            self.sender.out.append(frames.goaway(Code.NO_ERROR))
            self.close(self.reason)

    def flush(self) -> None:
        transport, out = self._transport, self.sender.out
        if out and transport is not None and not transport.is_closing():
            transport.write(b"".join(out))
            out.clear()

    def data_received(self, data: bytes) -> None:
        self.heard = True
        data = self._rest + data if self._rest else data
        if self._transport is None:
            self._rest = data
            return
        if self.ended:
            return
        try:
            self._rest = data[self._read(data) :]
        except PeerError as error:
            self.fail(error.code, f"protocol broken: {error.reason}")
            return
        self.fill()

    def _read(self, data: bytes) -> int:
        """The hot loop: handle every complete frame, return where the next begins."""
        streams, waiting = self.streams, self.replies
        # A block that may change a table must not be skipped.
        plain = _STATUS_200 if self.acknowledged else None
        position, end = 0, len(data)
        while position + 9 <= end:
            high, low, kind, flags, stream_id = _unpack(data, position)
            start = position + 9
            if high or low > frames.DEFAULT_FRAME_SIZE:
                raise PeerError(Code.FRAME_SIZE_ERROR, "a frame larger than allowed")
            if start + low > end:
                break
            position = start + low
            # Plain 200 answers, which is nearly all there is, take no detour.
            if (
                kind == HEADERS
                and flags & ~frames.END_STREAM == frames.END_HEADERS
                and low
                and data[start] == plain
                and stream_id in streams
                and stream_id not in waiting
                and self.block is None
            ):
                if flags & frames.END_STREAM:
                    self.answer(stream_id, _OK)
                else:
                    waiting[stream_id] = Reply(200)
            elif kind == DATA and stream_id in waiting and self.block is None:
                self.body(flags, stream_id, data[start:position])
            else:
                inbound.handle(self, kind, flags, stream_id, data[start:position])
        return position

    def body(self, flags: int, stream_id: int, payload: bytes) -> None:
        self.count_received(len(payload))
        if flags & frames.PADDED:
            payload = frames.unpadded(flags & frames.PADDED, payload)
        reply = self.replies[stream_id]
        reply.add(payload)
        if reply.size > replies.LARGEST_BODY:
            self.drop(stream_id, Code.CANCEL, "an answer larger than any provider's")
        elif flags & frames.END_STREAM:
            self.complete(stream_id)
        elif not payload:
            inbound.count_demand(self)

    def complete(self, stream_id: int) -> None:
        """The response of this stream has arrived to its last byte."""
        response = self.replies.pop(stream_id).response()
        if response is None:
            self.drop(stream_id, Code.PROTOCOL_ERROR, "not the length it announced")
        else:
            self.answer(stream_id, response)

    def answer(self, stream_id: int, response: Response) -> None:
        self.answers += 1
        batch, index = self.sender.close(stream_id)
        batch.answer(index, response)

    def drop(self, stream_id: int, code: Code, reason: str) -> None:
        """Give up one stream; what the peer made of its request is not known."""
        self.sender.reset(stream_id, code)
        self.lose(stream_id, reason)

    def lose(self, stream_id: int, reason: str) -> None:
        """A stream is over without an answer."""
        self._forget(stream_id)
        batch, _ = self.sender.close(stream_id)
        batch.lose(1, ChannelDown(reason))

    def give_back(self, stream_id: int, reason: str) -> None:
        """A stream is over that the peer has not looked at."""
        self._forget(stream_id)
        batch, index = self.sender.close(stream_id)
        batch.give_back(index, reason)

    def _forget(self, stream_id: int) -> None:
        self.replies.pop(stream_id, None)
        self.sender.forget(stream_id)

    def count_received(self, size: int) -> None:
        """Keep the peer's window open for all we do not hold in memory."""
        self.receive_window -= size
        if self.receive_window < 0:
            raise PeerError(Code.FLOW_CONTROL_ERROR, "more data than the window")
        if self.receive_window < replies.WINDOW // 2:
            held = sum(reply.size for reply in self.replies.values())
            increment = replies.WINDOW - self.receive_window - held
            if increment > replies.WINDOW // 4:
                self.receive_window += increment
                self.sender.out.append(frames.window_update(0, increment))

    def fail(self, code: Code, reason: str) -> None:
        """End it now, because of the peer; open requests are lost."""
        log.warning("connection to %s ends: %s", self.authority, reason)
        self.sender.out.append(frames.goaway(code, reason))
        self.close(reason)

    def drain(self, reason: str) -> None:
        """Open nothing more, and go when the last open request has ended."""
        if not self.draining:
            self.draining = True
            # What waits needs another connection now, not when this one has ended.
            self._queue.wake()
        self.reason = self.reason or reason

    def close(self, reason: str) -> None:
        self.reason = self.reason or reason
        if self._transport is not None and not self.ended:
            self.flush()
            self._transport.close()
            # TLS waits for the peer's farewell; a broken peer sends none.
            loop = asyncio.get_running_loop()
            loop.call_later(FAREWELL_S, self._transport.abort)
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        lost = f"connection lost: {error}" if error else "closed by the peer"
        self.reason = self.reason or lost
        if not self.gone.done():
            self.gone.set_result(None)
        self._end()

    def _end(self) -> None:
        if self.ended:
            return
        self.orderly = self.draining and not self.streams and not self.blamed
        self.ended = self.draining = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.reason))
        open_requests: list[tuple[Batch, int]] = list(self.streams.values())
        self.streams.clear()
        self.replies.clear()
        for batch, _ in open_requests:
            batch.lose(1, ChannelDown(self.reason))
        self._on_end(self)
