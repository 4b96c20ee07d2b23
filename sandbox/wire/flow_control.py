"""Flow control of the response bodies on one HTTP/2 connection (RFC 9113 §5.2)."""

from collections import deque

from sandbox.wire import frames
from sandbox.wire.frames import ProtocolError


class FlowControl:
    """Cuts bodies into DATA frames; the rest of a body waits for WINDOW_UPDATE."""

    def __init__(self) -> None:
        self._window = frames.DEFAULT_WINDOW
        self._initial_window = frames.DEFAULT_WINDOW
        self._max_frame = frames.DEFAULT_FRAME
        # What the peer has added to the windows of open streams, less what was sent.
        self._credit: dict[int, int] = {}
        self._waiting: deque[int] = deque()
        # Views, so that an inbox of 200,000 pushes is cut without copies.
        self._unsent: dict[int, memoryview] = {}

    def send(self, stream: int, body: bytes) -> bytes:
        """Return the DATA frames of a body that the windows allow now."""
        size = len(body)
        if (
            size <= self._window
            and size <= self._initial_window
            and size <= self._max_frame
            and not self._unsent
            and stream not in self._credit
        ):
            self._window -= size
            return frames.frame(frames.DATA, frames.END_STREAM, stream, body)
        self._unsent[stream] = memoryview(body)
        self._credit.setdefault(stream, 0)
        self._waiting.append(stream)
        return self.pump()

    def pump(self) -> bytes:
        """Return the frames that the windows allow; streams alternate by frame."""
        pieces: list[bytes] = []
        blocked = 0
        while self._waiting and blocked < len(self._waiting) and self._window > 0:
            stream = self._waiting.popleft()
            body = self._unsent[stream]
            room = min(
                self._window,
                self._initial_window + self._credit[stream],
                self._max_frame,
            )
            if room <= 0 and body:
                self._waiting.append(stream)
                blocked += 1
                continue
            blocked = 0
            pieces.append(self._piece(stream, body, room))
        return b"".join(pieces)

    def _piece(self, stream: int, body: memoryview, room: int) -> bytes:
        piece, rest = body[:room], body[room:]
        self._window -= len(piece)
        if rest:
            self._credit[stream] -= len(piece)
            self._unsent[stream] = rest
            self._waiting.append(stream)
            return frames.frame(frames.DATA, 0, stream, piece)
        self.drop(stream)
        return frames.frame(frames.DATA, frames.END_STREAM, stream, piece)

    def has_unsent(self) -> bool:
        """Whether a body waits for WINDOW_UPDATE."""
        return bool(self._unsent)

    def drop(self, stream: int) -> None:
        """Forget a stream that has ended."""
        self._credit.pop(stream, None)
        if self._unsent.pop(stream, None) is not None and stream in self._waiting:
            self._waiting.remove(stream)

    def window_update(self, stream: int, credit: int, *, is_open: bool) -> None:
        """Apply a WINDOW_UPDATE; raises ProtocolError if a window grows too large."""
        if stream == 0:
            self._window += credit
            if self._window > frames.LARGEST_WINDOW:
                raise ProtocolError(
                    frames.FLOW_CONTROL_ERROR, "connection window too large"
                )
        elif is_open or stream in self._unsent:
            self._credit[stream] = self._credit.get(stream, 0) + credit

    def apply_settings(self, settings: dict[int, int]) -> None:
        """Apply the peer's SETTINGS; raises ProtocolError for invalid values."""
        if frames.INITIAL_WINDOW_SIZE in settings:
            self._initial_window = settings[frames.INITIAL_WINDOW_SIZE]
            if self._initial_window > frames.LARGEST_WINDOW:
                raise ProtocolError(
                    frames.FLOW_CONTROL_ERROR, "initial window too large"
                )
        if frames.MAX_FRAME_SIZE in settings:
            self._max_frame = settings[frames.MAX_FRAME_SIZE]
            if not frames.DEFAULT_FRAME <= self._max_frame <= frames.LARGEST_FRAME:
                raise ProtocolError(frames.PROTOCOL_ERROR, "frame size out of range")
        if settings.get(frames.ENABLE_PUSH, 0) > 1:
            raise ProtocolError(frames.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
