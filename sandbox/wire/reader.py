"""The receiving half of an HTTP/2 connection: frames in, requests out."""

import asyncio
import json
import struct
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import ClassVar, cast

from jh2._hazmat import Decoder  # HPACK in Rust, because one in Python is too slow here

from sandbox import routes
from sandbox.state import Sandbox
from sandbox.wire import fields, frames
from sandbox.wire.delayed_writer import DelayedWriter
from sandbox.wire.exchange import Fields
from sandbox.wire.flow_control import FlowControl
from sandbox.wire.frames import ProtocolError
from sandbox.wire.stream import Stream

# Bytes a client may send before we have read them; room for several large pushes.
CONNECTION_WINDOW = 2**20


class FrameReader(asyncio.Protocol):
    """Reads strictly: a protocol error ends in GOAWAY and a closed connection."""

    def __init__(self, sandbox: Sandbox, connection_state: dict[str, object]) -> None:
        self.sandbox = sandbox
        self.connection_state = connection_state
        self.streams: dict[int, Stream] = {}
        self.flow_control = FlowControl()
        self.closing = False
        self.out: list[bytes] = []
        self._decoder = Decoder()
        self._buffer = b""
        self._has_preface = False
        self.highest = 0
        self._block: tuple[int, int, bytearray] | None = None
        self._window = frames.DEFAULT_WINDOW + CONNECTION_WINDOW
        self._consumed = 0
        self.trusted = False
        # Announced stream limits: the one in force, then the unacknowledged ones.
        self._limits: deque[int] = deque((frames.LARGEST_WINDOW,))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.writer = DelayedWriter(
            self.transport, lambda: self.sandbox.rules.latency_ms / 1000
        )
        self.sandbox.counters.connection_opened(self)
        self.sandbox.counters.count("http2_connections_opened")
        self.announce_limit(1)
        self.out.append(frames.window_update(0, CONNECTION_WINDOW))
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.sandbox.counters.connection_closed(self)
        self.streams.clear()

    @abstractmethod
    def dispatch(self, stream: int, opened: Stream) -> None:
        """Handle a complete request."""

    def announce_limit(self, limit: int) -> None:
        """Announce a stream limit; it applies once the peer has acknowledged it."""
        self._limits.append(limit)
        self.out.append(frames.settings({frames.MAX_CONCURRENT_STREAMS: limit}))

    def stream_limit_changed(self) -> None:
        """Announce the limit of the rules again."""
        if self.trusted:
            self.announce_limit(self.sandbox.rules.max_concurrent_streams)
            self.flush()

    def flush(self) -> None:
        """Send the frames in `out`, once the journal has their pushes."""
        self.sandbox.inbox.flush()
        if self.out:
            self.writer.write(b"".join(self.out))
            self.out.clear()

    def send_goaway(self, last: int, code: int, reason: str) -> None:
        """Send a GOAWAY with the reason as JSON, in Apple's format."""
        self.closing = True
        debug = json.dumps({"reason": reason}).encode()
        self.out.append(frames.goaway(last, code, debug))

    def reset(self, stream: int, code: int) -> None:
        """Reset one stream without a response."""
        self.streams.pop(stream, None)
        self.flow_control.drop(stream)
        self.out.append(frames.rst_stream(stream, code))

    def shut_down(self) -> None:
        """Send GOAWAY and close the connection; the sandbox stops."""
        self.send_goaway(self.highest, frames.NO_ERROR, "Shutdown")
        self.flush()
        self.writer.close()

    def close_when_done(self) -> None:
        """After GOAWAY, close the connection once the last stream has its response."""
        if self.closing and not self.streams and not self.flow_control.has_unsent():
            self.flush()
            self.writer.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        try:
            self._buffer = buffer[self._read(buffer) :]
        except ProtocolError as error:
            self.sandbox.counters.count("protocol_errors")
            self.send_goaway(self.highest, error.code, str(error))
            self.streams.clear()
            self.flow_control = FlowControl()
        self.flush()
        if self.closing:
            self.close_when_done()

    def _read(self, buffer: bytes) -> int:
        """Handle the complete frames; returns the offset of the next one."""
        at, end = 0, len(buffer)
        if not self._has_preface:
            if not frames.PREFACE.startswith(buffer[:24]):
                raise ProtocolError(frames.PROTOCOL_ERROR, "no HTTP/2 preface")
            if end < 24:
                return 0
            self._has_preface, at = True, 24
        while end - at >= 9:
            size = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            if size > frames.DEFAULT_FRAME:
                raise ProtocolError(frames.FRAME_SIZE_ERROR, "frame too large")
            start = at + 9
            at = start + size
            if at > end:
                return start - 9
            stream = int.from_bytes(buffer[start - 4 : start]) & frames.LARGEST_WINDOW
            self._handle(buffer[start - 6], buffer[start - 5], stream, buffer[start:at])
        return at

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise ProtocolError(frames.PROTOCOL_ERROR, "header block interrupted")
        # Unknown kinds and PRIORITY are to be ignored (RFC 9113 §5.5, §5.3.2).
        handle = self._HANDLERS.get(kind)
        if handle is not None:
            handle(self, flags, stream, payload)

    def _handle_headers(self, flags: int, stream: int, payload: bytes) -> None:
        payload = frames.unpadded(flags, payload)
        payload = frames.without_priority(flags, stream, payload)
        if flags & frames.END_HEADERS:
            self._handle_header_block(flags, stream, payload)
        else:
            self._block = (flags, stream, bytearray(payload))

    def _handle_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or self._block[1] != stream:
            raise ProtocolError(frames.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        first_flags, _, block = self._block
        block += payload
        if len(block) > 4 * frames.DEFAULT_FRAME:
            raise ProtocolError(frames.ENHANCE_YOUR_CALM, "header block too large")
        if flags & frames.END_HEADERS:
            self._block = None
            self._handle_header_block(first_flags, stream, bytes(block))

    def _handle_header_block(self, flags: int, stream: int, block: bytes) -> None:
        try:
            pairs = self._decoder.decode(block, False)
        except Exception as error:
            raise ProtocolError(
                frames.COMPRESSION_ERROR, f"header block: {error}"
            ) from error
        if stream in self.streams:
            self._handle_trailers(flags, stream)
            return
        if stream <= self.highest or not stream & 1:
            raise ProtocolError(
                frames.PROTOCOL_ERROR, f"stream {stream} cannot be opened"
            )
        self.highest = stream
        if self.closing:
            return
        found, repeated = fields.collect(pairs)
        code = self._refusal_code(found, repeated)
        if code is not None:
            self.out.append(frames.rst_stream(stream, code))
            return
        self.streams[stream] = opened = Stream(found, repeated)
        if flags & frames.END_STREAM:
            self._complete(stream, opened)

    def _complete(self, stream: int, opened: Stream) -> None:
        if opened.complete:
            raise ProtocolError(
                frames.STREAM_CLOSED, f"stream {stream} has ended before"
            )
        opened.complete = True
        self.dispatch(stream, opened)

    def _refusal_code(self, found: Fields, repeated: frozenset[str]) -> int | None:
        """The error code for a malformed request, or one above the stream limit."""
        if not fields.is_well_formed(found, repeated):
            return frames.PROTOCOL_ERROR
        others = len(self.streams)
        # Apple allows one stream until it has accepted a token, whatever it announced.
        if not self.trusted and others and routes.is_for_apple(found[":path"]):
            return frames.REFUSED_STREAM
        return frames.REFUSED_STREAM if others >= max(self._limits) else None

    def _handle_trailers(self, flags: int, stream: int) -> None:
        if not flags & frames.END_STREAM:
            raise ProtocolError(
                frames.PROTOCOL_ERROR, "trailers that do not end the stream"
            )
        self._complete(stream, self.streams[stream])

    def _handle_data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self._window -= size
        self._consumed += size
        if self._window < 0:
            raise ProtocolError(frames.FLOW_CONTROL_ERROR, "connection window exceeded")
        if self._consumed >= CONNECTION_WINDOW // 2:
            self.out.append(frames.window_update(0, self._consumed))
            self._window += self._consumed
            self._consumed = 0
        if not 0 < stream <= self.highest:
            raise ProtocolError(frames.PROTOCOL_ERROR, "DATA on an idle stream")
        opened = self.streams.get(stream)
        if opened is None:
            return
        opened.size += size
        if opened.size > frames.DEFAULT_WINDOW:
            # We never enlarge a stream's window: no valid request needs more.
            self.reset(stream, frames.FLOW_CONTROL_ERROR)
            return
        opened.body.append(frames.unpadded(flags, payload))
        if flags & frames.END_STREAM:
            self._complete(stream, opened)

    def _handle_window_update(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ProtocolError(frames.FRAME_SIZE_ERROR, "a WINDOW_UPDATE has 4 bytes")
        credit = int.from_bytes(payload) & frames.LARGEST_WINDOW
        if credit == 0 or stream > self.highest:
            raise ProtocolError(
                frames.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 or of an idle stream"
            )
        self.flow_control.window_update(stream, credit, is_open=stream in self.streams)
        self.out.append(self.flow_control.pump())

    def _handle_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) % 6:
            raise ProtocolError(frames.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        if flags & frames.ACK:
            if len(self._limits) > 1:
                self._limits.popleft()
            return
        self.flow_control.apply_settings(dict(struct.iter_unpack(">HI", payload)))
        self.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        self.out.append(self.flow_control.pump())

    def _handle_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) != 8:
            raise ProtocolError(frames.FRAME_SIZE_ERROR, "a PING has 8 bytes")
        if not flags & frames.ACK:
            self.out.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _handle_reset(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4 or not 0 < stream <= self.highest:
            raise ProtocolError(frames.PROTOCOL_ERROR, "RST_STREAM of an idle stream")
        self.streams.pop(stream, None)
        self.flow_control.drop(stream)

    def _handle_push_promise(self, flags: int, stream: int, payload: bytes) -> None:
        raise ProtocolError(frames.PROTOCOL_ERROR, "a client does not push")

    _HANDLERS: ClassVar[dict[int, Callable[["FrameReader", int, int, bytes], None]]] = {
        frames.DATA: _handle_data,
        frames.HEADERS: _handle_headers,
        frames.RST_STREAM: _handle_reset,
        frames.SETTINGS: _handle_settings,
        frames.PUSH_PROMISE: _handle_push_promise,
        frames.PING: _handle_ping,
        frames.WINDOW_UPDATE: _handle_window_update,
        frames.CONTINUATION: _handle_continuation,
    }
