"""Responses that arrive in pieces, and what the peer may make us remember."""

from notifier.http2 import frames
from notifier.http2.frames import Code, PeerError
from notifier.http2.messages import Response

# Providers answer with a few hundred bytes; more than this is not an answer to us.
LARGEST_BODY = 65_536
# Of a header block, compressed and decoded.
LARGEST_BLOCK = 16_384
LARGEST_LIST = 65_536
MOST_CONTINUATIONS = 32
# What all open responses of a connection may hold together.
WINDOW = 16 * 2**20


class Reply:
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
        """The complete response; None when the body is not what was announced."""
        for name, value in self.fields:
            if name == "content-length" and value != str(self.size):
                return None
        return Response(self.status, self.fields, b"".join(self._parts))


class Block:
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
        if len(self.data) > LARGEST_BLOCK or self._frames > MOST_CONTINUATIONS:
            raise PeerError(Code.ENHANCE_YOUR_CALM, "an endless header block")


def greeting() -> bytes:
    """What a connection begins with: preface, our settings, a wide window."""
    ours = {
        # Responses without state: each header block can be read (or not) alone.
        frames.HEADER_TABLE_SIZE: 0,
        frames.ENABLE_PUSH: 0,
        # A stream's window is never widened, so no response outgrows it by much.
        frames.INITIAL_WINDOW_SIZE: LARGEST_BODY + 1,
        frames.MAX_HEADER_LIST_SIZE: LARGEST_LIST,
    }
    wider = frames.window_update(0, WINDOW - frames.DEFAULT_WINDOW)
    return frames.PREFACE + frames.settings(ours) + wider
