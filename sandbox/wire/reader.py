"""The receiving half of an HTTP/2 connection: frames in, requests out."""

import asyncio
import json
import struct
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import ClassVar, cast

from jh2._hazmat import Decoder  # HPACK in Rust: Python's own costs too much here

from sandbox.apple import apns
from sandbox.state import Sandbox
from sandbox.wire import fields, frames
from sandbox.wire.delayed_writer import Outlet
from sandbox.wire.exchange import Fields
from sandbox.wire.flow_control import Bodies
from sandbox.wire.frames import Broken

# How much a client may send before we have read it: several large pushes' worth.
CONNECTION_WINDOW = 2**20


class Stream:
    """A request on its way in, or one that still has no answer."""

    __slots__ = ("body", "complete", "dripping", "fields", "repeated", "size")

    def __init__(self, found: Fields, repeated: frozenset[str]) -> None:
        self.fields = found
        self.repeated = repeated
        self.body: list[bytes] = []
        self.size = 0
        # All of it is here; whatever comes after that is too much.
        self.complete = False
        # Its head is out, the body comes later.
        self.dripping = False


class Reader(asyncio.Protocol):
    """Reads strictly: whoever breaks the protocol gets GOAWAY and is let go."""

    def __init__(self, sandbox: Sandbox, memory: dict[str, object]) -> None:
        self.sandbox = sandbox
        self.memory = memory
        self.streams: dict[int, Stream] = {}
        self.bodies = Bodies()
        self.leaving = False
        self.out: list[bytes] = []
        self._decoder = Decoder()
        self._buffer = b""
        self._prefaced = False
        self.highest = 0
        self._block: tuple[int, int, bytearray] | None = None
        self._window = frames.DEFAULT_WINDOW + CONNECTION_WINDOW
        self._consumed = 0
        self.trusted = False
        # Stream limits we have told, the one in force first, then those not confirmed.
        self._limits: deque[int] = deque((frames.LARGEST_WINDOW,))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.outlet = Outlet(
            self.transport, lambda: self.sandbox.rules.latency_ms / 1000
        )
        self.sandbox.counters.connection_opened(self)
        self.announce_limit(1)
        self.out.append(frames.window_update(0, CONNECTION_WINDOW))
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.sandbox.counters.connection_closed(self)
        self.streams.clear()

    @abstractmethod
    def dispatch(self, stream: int, opened: Stream) -> None:
        """The request is complete."""

    def announce_limit(self, limit: int) -> None:
        """Tell how many streams may be open; it binds once the peer has confirmed."""
        self._limits.append(limit)
        self.out.append(frames.settings({frames.MAX_CONCURRENT_STREAMS: limit}))

    def limit_changed(self) -> None:
        """The rule has changed while we were connected."""
        if self.trusted:
            self.announce_limit(self.sandbox.rules.max_concurrent_streams)
            self.flush()

    def flush(self) -> None:
        """Send what has been gathered; accepted pushes are safe before that."""
        self.sandbox.inbox.settle()
        if self.out:
            self.outlet.write(b"".join(self.out))
            self.out.clear()

    def say_goodbye(self, last: int, code: int, reason: str) -> None:
        """GOAWAY with its reason as JSON, the way Apple gives it."""
        self.leaving = True
        debug = json.dumps({"reason": reason}).encode()
        self.out.append(frames.goaway(last, code, debug))

    def reset(self, stream: int, code: int) -> None:
        """End one stream without an answer."""
        self.streams.pop(stream, None)
        self.bodies.forget(stream)
        self.out.append(frames.rst_stream(stream, code))

    def leave(self) -> None:
        """The sandbox stops."""
        self.say_goodbye(self.highest, frames.NO_ERROR, "Shutdown")
        self.flush()
        self.outlet.close()

    def close_when_done(self) -> None:
        """After GOAWAY: the streams that were promised an answer get it first."""
        if self.leaving and not self.streams and not self.bodies.sending():
            self.flush()
            self.outlet.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        try:
            self._buffer = buffer[self._read(buffer) :]
        except Broken as broken:
            self.sandbox.counters.count("protocol_errors")
            self.say_goodbye(self.highest, broken.code, str(broken))
            self.streams.clear()
            self.bodies = Bodies()
        self.flush()
        if self.leaving:
            self.close_when_done()

    def _read(self, buffer: bytes) -> int:
        """Handle every whole frame; returns where the next one starts."""
        at, end = 0, len(buffer)
        if not self._prefaced:
            if not frames.PREFACE.startswith(buffer[:24]):
                raise Broken(frames.PROTOCOL_ERROR, "no HTTP/2 preface")
            if end < 24:
                return 0
            self._prefaced, at = True, 24
        while end - at >= 9:
            size = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            if size > frames.DEFAULT_FRAME:
                raise Broken(frames.FRAME_SIZE_ERROR, "frame too large")
            start = at + 9
            at = start + size
            if at > end:
                return start - 9
            stream = int.from_bytes(buffer[start - 4 : start]) & frames.LARGEST_WINDOW
            self._take(buffer[start - 6], buffer[start - 5], stream, buffer[start:at])
        return at

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise Broken(frames.PROTOCOL_ERROR, "header block interrupted")
        # Kinds that we do not know, and PRIORITY, are to be ignored.
        take = self._TAKERS.get(kind)
        if take is not None:
            take(self, flags, stream, payload)

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        payload = frames.unpadded(flags, payload)
        payload = frames.without_priority(flags, stream, payload)
        if flags & frames.END_HEADERS:
            self._take_head(flags, stream, payload)
        else:
            self._block = (flags, stream, bytearray(payload))

    def _continue(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or self._block[1] != stream:
            raise Broken(frames.PROTOCOL_ERROR, "CONTINUATION of nothing")
        first_flags, _, block = self._block
        block += payload
        if len(block) > 4 * frames.DEFAULT_FRAME:
            raise Broken(frames.ENHANCE_YOUR_CALM, "header block too large")
        if flags & frames.END_HEADERS:
            self._block = None
            self._take_head(first_flags, stream, bytes(block))

    def _take_head(self, flags: int, stream: int, block: bytes) -> None:
        try:
            pairs = self._decoder.decode(block, False)
        except Exception as error:
            raise Broken(frames.COMPRESSION_ERROR, f"header block: {error}") from error
        if stream in self.streams:
            self._take_trailers(flags, stream)
            return
        if stream <= self.highest or not stream & 1:
            raise Broken(frames.PROTOCOL_ERROR, f"stream {stream} cannot be opened")
        self.highest = stream
        if self.leaving:
            return
        found, repeated = fields.gather(pairs)
        code = self._objection(found, repeated)
        if code is not None:
            self.out.append(frames.rst_stream(stream, code))
            return
        self.streams[stream] = opened = Stream(found, repeated)
        if flags & frames.END_STREAM:
            self._complete(stream, opened)

    def _complete(self, stream: int, opened: Stream) -> None:
        if opened.complete:
            raise Broken(frames.STREAM_CLOSED, f"stream {stream} has ended before")
        opened.complete = True
        self.dispatch(stream, opened)

    def _objection(self, found: Fields, repeated: frozenset[str]) -> int | None:
        """The error code for a request that is malformed, or one too many."""
        if not fields.is_well_formed(found, repeated):
            return frames.PROTOCOL_ERROR
        others = len(self.streams)
        # Apple allows one stream until it has accepted a token, told or not.
        if not self.trusted and others and found[":path"].startswith(apns.PREFIX):
            return frames.REFUSED_STREAM
        return frames.REFUSED_STREAM if others >= max(self._limits) else None

    def _take_trailers(self, flags: int, stream: int) -> None:
        if not flags & frames.END_STREAM:
            raise Broken(frames.PROTOCOL_ERROR, "trailers that do not end the stream")
        self._complete(stream, self.streams[stream])

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self._window -= size
        self._consumed += size
        if self._window < 0:
            raise Broken(frames.FLOW_CONTROL_ERROR, "connection window exceeded")
        if self._consumed >= CONNECTION_WINDOW // 2:
            self.out.append(frames.window_update(0, self._consumed))
            self._window += self._consumed
            self._consumed = 0
        if not 0 < stream <= self.highest:
            raise Broken(frames.PROTOCOL_ERROR, "DATA on an idle stream")
        opened = self.streams.get(stream)
        if opened is None:
            return
        opened.size += size
        if opened.size > frames.DEFAULT_WINDOW:
            # We never widen a stream: nothing that a push needs is as long as that.
            self.reset(stream, frames.FLOW_CONTROL_ERROR)
            return
        opened.body.append(frames.unpadded(flags, payload))
        if flags & frames.END_STREAM:
            self._complete(stream, opened)

    def _take_credit(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Broken(frames.FRAME_SIZE_ERROR, "a WINDOW_UPDATE has 4 bytes")
        credit = int.from_bytes(payload) & frames.LARGEST_WINDOW
        if credit == 0 or stream > self.highest:
            raise Broken(frames.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        self.bodies.widen(stream, credit, is_open=stream in self.streams)
        self.out.append(self.bodies.pump())

    def _take_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) % 6:
            raise Broken(frames.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        if flags & frames.ACK:
            if len(self._limits) > 1:
                self._limits.popleft()
            return
        self.bodies.adopt(dict(struct.iter_unpack(">HI", payload)))
        self.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        self.out.append(self.bodies.pump())

    def _take_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) != 8:
            raise Broken(frames.FRAME_SIZE_ERROR, "a PING has 8 bytes")
        if not flags & frames.ACK:
            self.out.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _take_reset(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4 or not 0 < stream <= self.highest:
            raise Broken(frames.PROTOCOL_ERROR, "RST_STREAM of an idle stream")
        self.streams.pop(stream, None)
        self.bodies.forget(stream)

    def _take_promise(self, flags: int, stream: int, payload: bytes) -> None:
        raise Broken(frames.PROTOCOL_ERROR, "a client does not push")

    _TAKERS: ClassVar[dict[int, Callable[["Reader", int, int, bytes], None]]] = {
        frames.DATA: _take_data,
        frames.HEADERS: _take_headers,
        frames.RST_STREAM: _take_reset,
        frames.SETTINGS: _take_settings,
        frames.PUSH_PROMISE: _take_promise,
        frames.PING: _take_ping,
        frames.WINDOW_UPDATE: _take_credit,
        frames.CONTINUATION: _continue,
    }
