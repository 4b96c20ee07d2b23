"""The bodies of answers on one HTTP/2 connection, kept within the peer's windows."""

from collections import deque

from sandbox.wire import frames
from sandbox.wire.frames import Broken


class Bodies:
    """Cuts bodies into DATA frames; what does not fit waits for WINDOW_UPDATE."""

    def __init__(self) -> None:
        self._window = frames.DEFAULT_WINDOW
        self._initial = frames.DEFAULT_WINDOW
        self._frame = frames.DEFAULT_FRAME
        # What the peer has added to the windows of streams that are still open.
        self._extra: dict[int, int] = {}
        self._waiting: deque[int] = deque()
        # Views: an inbox of 200,000 pushes is cut without being copied.
        self._rest: dict[int, memoryview] = {}

    def frames_of(self, stream: int, body: bytes) -> bytes:
        """DATA frames for as much of a whole body as may go now."""
        size = len(body)
        if (
            size <= self._window
            and size <= self._initial
            and size <= self._frame
            and not self._rest
            and stream not in self._extra
        ):
            self._window -= size
            return frames.frame(frames.DATA, frames.END_STREAM, stream, body)
        self._rest[stream] = memoryview(body)
        self._extra.setdefault(stream, 0)
        self._waiting.append(stream)
        return self.pump()

    def pump(self) -> bytes:
        """What may go by now; streams take turns frame by frame."""
        pieces: list[bytes] = []
        stuck = 0
        while self._waiting and stuck < len(self._waiting) and self._window > 0:
            stream = self._waiting.popleft()
            body = self._rest[stream]
            room = min(self._window, self._initial + self._extra[stream], self._frame)
            if room <= 0 and body:
                self._waiting.append(stream)
                stuck += 1
                continue
            stuck = 0
            pieces.append(self._piece(stream, body, room))
        return b"".join(pieces)

    def _piece(self, stream: int, body: memoryview, room: int) -> bytes:
        piece, rest = body[:room], body[room:]
        self._window -= len(piece)
        if rest:
            self._extra[stream] -= len(piece)
            self._rest[stream] = rest
            self._waiting.append(stream)
            return frames.frame(frames.DATA, 0, stream, piece)
        self.forget(stream)
        return frames.frame(frames.DATA, frames.END_STREAM, stream, piece)

    def sending(self) -> bool:
        """Whether a body waits for the peer."""
        return bool(self._rest)

    def forget(self, stream: int) -> None:
        """The stream is over."""
        self._extra.pop(stream, None)
        if self._rest.pop(stream, None) is not None and stream in self._waiting:
            self._waiting.remove(stream)

    def widen(self, stream: int, credit: int, *, is_open: bool) -> None:
        """A WINDOW_UPDATE; raises Broken when a window would grow too large."""
        if stream == 0:
            self._window += credit
            if self._window > frames.LARGEST_WINDOW:
                raise Broken(frames.FLOW_CONTROL_ERROR, "connection window too large")
        elif is_open or stream in self._rest:
            self._extra[stream] = self._extra.get(stream, 0) + credit

    def adopt(self, settings: dict[int, int]) -> None:
        """The peer's SETTINGS; raises Broken for values that cannot be."""
        if frames.INITIAL_WINDOW_SIZE in settings:
            self._initial = settings[frames.INITIAL_WINDOW_SIZE]
            if self._initial > frames.LARGEST_WINDOW:
                raise Broken(frames.FLOW_CONTROL_ERROR, "initial window too large")
        if frames.MAX_FRAME_SIZE in settings:
            self._frame = settings[frames.MAX_FRAME_SIZE]
            if not frames.DEFAULT_FRAME <= self._frame <= frames.LARGEST_FRAME:
                raise Broken(frames.PROTOCOL_ERROR, "frame size out of range")
        if settings.get(frames.ENABLE_PUSH, 0) > 1:
            raise Broken(frames.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
