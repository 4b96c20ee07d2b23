"""HTTP/2 frames (RFC 9113): numbers, writers, parsers, and protocol errors."""

import json
from enum import IntEnum
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Plain numbers, not an enum: they are compared for every frame.
DATA = 0
HEADERS = 1
PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6

# What both sides assume before any SETTINGS.
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME_SIZE = 16_384
# A window, an increment and a stream id have 31 bits.
LARGEST = 2**31 - 1

# Length (24 bits as 8 and 16), type, flags, stream id.
HEADER = Struct(">BHBBL")
_SETTING = Struct(">HL")
_NUMBER = Struct(">L")
_GOAWAY = Struct(">LL")


class Code(IntEnum):
    """The error codes of RFC 9113 §7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class PeerError(Exception):
    """The peer broke the protocol; the connection cannot go on."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def code_name(code: int) -> str:
    """The error code as the specification spells it."""
    try:
        return Code(code).name
    except ValueError:
        return f"error code {code}"


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    packed = b"".join(_SETTING.pack(key, value) for key, value in values.items())
    return frame(SETTINGS, 0, 0, packed)


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(increment))


def rst_stream(stream_id: int, code: Code) -> bytes:
    return frame(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def goaway(code: Code, debug: str = "") -> bytes:
    """GOAWAY with last stream 0, because we allow the server to open none."""
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(0, code) + debug.encode()[:200])


def parse_number(payload: bytes) -> int:
    """The number in a RST_STREAM or WINDOW_UPDATE, which holds nothing else."""
    if len(payload) != _NUMBER.size:
        raise PeerError(Code.FRAME_SIZE_ERROR, f"a frame of {len(payload)} bytes")
    return int(_NUMBER.unpack(payload)[0])


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """The settings of a frame in their order; the last one of a kind counts."""
    if len(payload) % _SETTING.size:
        raise PeerError(Code.FRAME_SIZE_ERROR, "SETTINGS of a broken length")
    return [(key, value) for key, value in _SETTING.iter_unpack(payload)]


def parse_goaway(payload: bytes) -> tuple[int, int, str]:
    """The last stream that the peer processes, its error code, and both in words."""
    if len(payload) < _GOAWAY.size:
        raise PeerError(Code.FRAME_SIZE_ERROR, "GOAWAY too short")
    last, code = _GOAWAY.unpack_from(payload)
    debug = payload[_GOAWAY.size :][:1000].decode("utf-8", "replace")
    words = [code_name(code), _parse_debug(debug)]
    return last & LARGEST, code, ", ".join(word for word in words if word)


def _parse_debug(debug: str) -> str:
    """The debug data in words: APNs sends {"reason": …}, others plain text."""
    try:
        reason = json.loads(debug)["reason"]
    except (ValueError, TypeError, LookupError, RecursionError):
        reason = debug
    return "".join(c if c.isprintable() else " " for c in str(reason)).strip()[:200]


def strip_padding(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without padding and priority."""
    end = len(payload)
    start = 0
    if flags & PADDED:
        if not payload:
            raise PeerError(Code.FRAME_SIZE_ERROR, "a padded frame without a length")
        start, end = 1, end - payload[0]
    if flags & PRIORITIZED:
        start += 5
    if start > end:
        raise PeerError(Code.PROTOCOL_ERROR, "more padding than frame")
    return payload[start:end]
