"""Responses that arrive in pieces, and the limits on what the peer makes us hold."""

from notifier.http2 import frames
from notifier.http2.frames import Code, PeerError
from notifier.http2.messages import Response

# Providers answer with a few hundred bytes; a longer body is not for us.
MAX_BODY = 65_536
# A shorter piece of a body, unless it is the last, costs us more than it brings.
SMALL_DATA = 256
# The header block as it arrives, and the list that is decoded from it.
MAX_HEADER_BLOCK = 16_384
MAX_HEADER_LIST = 16_384
MAX_CONTINUATIONS = 32
# The most that all open responses of a connection may hold together.
RECEIVE_WINDOW = 16 * 2**20


class PartialResponse:
    """The response of one stream until it is complete."""

    __slots__ = ("_parts", "fields", "size", "status")

    def __init__(self, status: int, fields: tuple[tuple[str, str], ...] = ()) -> None:
        self.status = status
        self.fields = fields
        self.size = 0
        self._parts: list[bytes] = []

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if data:
            self._parts.append(data)

    def response(self) -> Response | None:
        """The complete response; None when content-length names another size."""
        for name, value in self.fields:
            if name == "content-length" and value != str(self.size):
                return None
        return Response(self.status, self.fields, b"".join(self._parts))


class HeaderBlock:
    """A header block that continues in further frames."""

    __slots__ = ("_frames", "data", "end_stream", "stream_id")

    def __init__(self, stream_id: int, data: bytes, *, end_stream: bool) -> None:
        self.stream_id = stream_id
        self.data = data
        self.end_stream = end_stream
        self._frames = 0

    def add(self, stream_id: int, data: bytes) -> None:
        if stream_id != self.stream_id:
            raise PeerError(Code.PROTOCOL_ERROR, "CONTINUATION of another stream")
        self.data += data
        self._frames += 1
        if len(self.data) > MAX_HEADER_BLOCK or self._frames > MAX_CONTINUATIONS:
            raise PeerError(Code.ENHANCE_YOUR_CALM, "an endless header block")


def connection_preface() -> bytes:
    """The first bytes of a connection: RFC 9113 §3.4, our settings, a wide window."""
    ours = {
        # Without a table each header block can be decoded, or skipped, alone.
        frames.HEADER_TABLE_SIZE: 0,
        frames.ENABLE_PUSH: 0,
        # A stream's window is never widened, so no response outgrows it by much.
        frames.INITIAL_WINDOW_SIZE: MAX_BODY + 1,
        frames.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
    }
    wider = frames.window_update(0, RECEIVE_WINDOW - frames.DEFAULT_WINDOW)
    return frames.PREFACE + frames.settings(ours) + wider
