"""The sending half of a connection: request frames, flow control, peer settings."""

from collections.abc import Iterable

from notifier.http2 import frames
from notifier.http2.batch import Batch
from notifier.http2.frames import Code, PeerError
from notifier.http2.headers import PATH_PREFIXES, Templates

# Our own limit, if the peer has none or a higher one.
MAX_STREAMS = 1000


def _start(length: int, kind: int, flags: int) -> bytes:
    """A frame's first five bytes, which the number of its stream follows."""
    return frames.HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, 0)[:5]


class _BlockedBody:
    """A body that the peer's windows have let through only in part, or not at all."""

    __slots__ = ("body", "sent", "window")

    def __init__(self, body: bytes, window: int) -> None:
        self.body = body
        self.sent = 0
        self.window = window


class Sender:
    """Turns requests into frames; the connection takes them from `out` and writes."""

    def __init__(self, authority: str) -> None:
        self.out: list[bytes] = []
        # Open requests, oldest first.
        self.streams: dict[int, tuple[Batch, int]] = {}
        self.next_id = 1
        # Streams whose body is not sent yet, or not all of it.
        self.blocked_bodies: dict[int, _BlockedBody] = {}
        # How many streams the peer allows at a time.
        self.max_streams = MAX_STREAMS
        # The connection's window has no room for the next request.
        self.blocked = False
        self._templates = Templates(authority)
        # The bytes that the connection may still send, and that a new stream may.
        self._window = frames.DEFAULT_WINDOW
        self._stream_window = frames.DEFAULT_WINDOW
        self._frame_size = frames.DEFAULT_FRAME_SIZE

    @property
    def ids_exhausted(self) -> bool:
        """No stream id is left; only a new connection has more."""
        return self.next_id > frames.LARGEST

    def open(self, batch: Batch, count: int) -> bool:
        """Write up to `count` requests of the batch; False if the window is closed."""
        count = self._affordable(batch.next_body_size(), count)
        if count:
            template = self._templates.get(batch.head)
            indexes = batch.take(1 if template.inserts else count)
            self._write(batch, indexes, template.before, template.after)
        self.blocked = not count
        return count > 0

    def _affordable(self, body_size: int, count: int) -> int:
        ids_left = (frames.LARGEST - self.next_id) // 2 + 1
        count = min(count, ids_left)
        if not body_size or self._window >= count * body_size:
            return count
        if self._window >= body_size:
            return self._window // body_size
        # One body may start with the rest of the window; the next must wait.
        return min(count, 1) if self._window > 0 else 0

    def _write(
        self, batch: Batch, indexes: Iterable[int], before: bytes, after: bytes
    ) -> None:
        """The hot loop: one HEADERS and one DATA frame per request."""
        requests, streams, out = batch.requests, self.streams, self.out
        own_path = batch.head.path is None
        own = b""
        largest = min(self._stream_window, self._frame_size)
        stream_id = self.next_id
        # Mostly the frames of a request are as long as those of the request before.
        lengths, block, size = (-1, -1, -1), 0, 0
        lead, headers, data = before, b"", b""
        for index in indexes:
            body, path, fields = requests[index]
            if own_path:
                own = path or b""
            if lengths != (len(own), len(fields), len(body)):
                lengths = (len(own), len(fields), len(body))
                if own_path:
                    lead = before + PATH_PREFIXES[len(own)]
                block = len(lead) + len(own) + len(after) + len(fields)
                size = len(body)
                headers = _start(block, frames.HEADERS, frames.END_HEADERS)
                data = _start(size, frames.DATA, frames.END_STREAM)
            if 0 < size <= largest and size <= self._window and block <= 16_384:
                self._window -= size
                number = stream_id.to_bytes(4)
                out += (headers, number, lead, own, after, fields, data, number, body)
            else:
                self._write_head(stream_id, lead + own + after + fields, size)
                self._write_body(stream_id, body)
            streams[stream_id] = (batch, index)
            stream_id += 2
        self.next_id = stream_id

    def _write_head(self, stream_id: int, block: bytes, body_size: int) -> None:
        kind = frames.HEADERS
        flags = 0 if body_size else frames.END_STREAM
        while len(block) > self._frame_size:
            first, block = block[: self._frame_size], block[self._frame_size :]
            self.out.append(frames.frame(kind, flags, stream_id, first))
            kind, flags = frames.CONTINUATION, 0
        flags |= frames.END_HEADERS
        self.out.append(frames.frame(kind, flags, stream_id, block))

    def _write_body(self, stream_id: int, body: bytes) -> None:
        if body:
            self.blocked_bodies[stream_id] = _BlockedBody(body, self._stream_window)
            self._advance(stream_id)

    def _advance(self, stream_id: int) -> None:
        """Send as much of a blocked body as the windows allow."""
        blocked = self.blocked_bodies[stream_id]
        left = len(blocked.body) - blocked.sent
        while left and (room := min(blocked.window, self._window)) > 0:
            size = min(left, room, self._frame_size)
            left -= size
            chunk = blocked.body[blocked.sent : blocked.sent + size]
            flags = 0 if left else frames.END_STREAM
            self.out.append(frames.frame(frames.DATA, flags, stream_id, chunk))
            blocked.sent += size
            blocked.window -= size
            self._window -= size
        if not left:
            del self.blocked_bodies[stream_id]

    def _advance_all(self) -> None:
        for stream_id in list(self.blocked_bodies):
            if self._window <= 0:
                return
            self._advance(stream_id)

    def update_window(self, stream_id: int, increment: int) -> None:
        """Apply a WINDOW_UPDATE of the connection (stream 0) or of one stream."""
        if stream_id == 0:
            self._window += increment
            self.blocked = False
            if self._window > frames.LARGEST:
                raise PeerError(Code.FLOW_CONTROL_ERROR, "the window is too large")
            self._advance_all()
        elif stream_id in self.blocked_bodies:
            self._widen(self.blocked_bodies[stream_id], increment)
            self._advance(stream_id)

    def _widen(self, blocked: _BlockedBody, increment: int) -> None:
        blocked.window += increment
        if blocked.window > frames.LARGEST:
            raise PeerError(Code.FLOW_CONTROL_ERROR, "a stream's window is too large")

    def apply(self, key: int, value: int) -> None:
        """Apply one setting of the peer."""
        if key == frames.HEADER_TABLE_SIZE:
            self._templates.resize(value)
        elif key == frames.MAX_CONCURRENT_STREAMS:
            self.max_streams = min(value, MAX_STREAMS)
        elif key == frames.INITIAL_WINDOW_SIZE:
            self._set_stream_window(value)
        elif key == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME_SIZE <= value < 2**24:
                raise PeerError(Code.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")
            self._frame_size = value
        elif key == frames.ENABLE_PUSH and value:
            raise PeerError(Code.PROTOCOL_ERROR, "a server that asks for push")

    def _set_stream_window(self, value: int) -> None:
        if value > frames.LARGEST:
            raise PeerError(Code.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}")
        change = value - self._stream_window
        self._stream_window = value
        # It also changes the windows of open streams, even to below zero.
        for blocked in self.blocked_bodies.values():
            self._widen(blocked, change)
        self._advance_all()

    def reset(self, stream_id: int, code: Code) -> None:
        """Tell the peer with RST_STREAM that we have closed a stream."""
        self.forget(stream_id)
        self.out.append(frames.rst_stream(stream_id, code))

    def forget(self, stream_id: int) -> None:
        """Send nothing more on a stream."""
        self.blocked_bodies.pop(stream_id, None)

    def close(self, stream_id: int) -> tuple[Batch, int]:
        """Forget an open stream and return its request, which the caller ends."""
        if stream_id in self.blocked_bodies:
            # Answered before the whole body was sent; the peer does not need the rest.
            self.reset(stream_id, Code.NO_ERROR)
        return self.streams.pop(stream_id)
