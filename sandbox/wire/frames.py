"""HTTP/2 frames and header fields as bytes (RFC 9113, RFC 7541)."""

import struct
from functools import lru_cache

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
# Defaults until a SETTINGS frame changes them, and the limits of RFC 9113 §6.5.2.
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
LARGEST_FRAME = 2**24 - 1
LARGEST_WINDOW = 2**31 - 1

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM = 5, 6, 7
CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 8, 9, 11

_pack = struct.Struct(">HBBBI").pack
# Statuses with an index in the static table of HPACK.
_INDEXED = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}


class ProtocolError(Exception):
    """The peer violated the protocol; the connection ends with this error code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def head(kind: int, flags: int, stream: int, length: int) -> bytes:
    """The nine bytes before a frame's payload."""
    return _pack(length >> 8, length & 0xFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview) -> bytes:
    """A complete frame."""
    return head(kind, flags, stream, len(payload)) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    pairs = (struct.pack(">HI", key, value) for key, value in values.items())
    return frame(SETTINGS, 0, 0, b"".join(pairs))


def rst_stream(stream: int, code: int) -> bytes:
    """A RST_STREAM frame: the stream ends without a response."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last_stream: int, code: int, debug: bytes = b"") -> bytes:
    """A GOAWAY frame; streams above the last one were not processed."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream, code) + debug)


def window_update(stream: int, credit: int) -> bytes:
    """A WINDOW_UPDATE frame: the peer may send `credit` more bytes."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", credit))


def header_block(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """A response's header fields in HPACK; independent of the dynamic table."""
    block = _status(status)
    for name, value in headers:
        block += _name(name) + _text(value.encode("latin-1"))
    return block


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload without padding; raises ProtocolError if the padding is too long."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError(PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]


def without_priority(flags: int, stream: int, payload: bytes) -> bytes:
    """The header block without the priority fields, which RFC 9113 deprecates."""
    if not flags & HAS_PRIORITY:
        return payload
    if len(payload) < 5:
        raise ProtocolError(FRAME_SIZE_ERROR, "priority fields cut short")
    if int.from_bytes(payload[:4]) & LARGEST_WINDOW == stream:
        raise ProtocolError(PROTOCOL_ERROR, "a stream depends on itself")
    return payload[5:]


@lru_cache(maxsize=64)
def _status(status: int) -> bytes:
    if status in _INDEXED:
        return bytes((0x80 | _INDEXED[status],))
    # The name by its index, the value as a literal without indexing.
    return b"\x08" + _text(str(status).encode())


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    return b"\x00" + _text(name.encode("latin-1"))


def _text(value: bytes) -> bytes:
    size = len(value)
    if size < 127:
        return bytes((size,)) + value
    encoded = bytearray((127,))
    size -= 127
    while size >= 128:
        encoded.append(size & 127 | 128)
        size >>= 7
    encoded.append(size)
    return bytes(encoded) + value
