"""Hypothesis strategies for a server's bytes: transcripts, mutations, noise."""

from dataclasses import dataclass

from hypothesis import strategies as st
from jh2.hpack import Decoder
from jh2.hyperframe.exceptions import HyperframeError
from jh2.hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

STREAMS = 6

_IDS = st.sampled_from([2 * i + 1 for i in range(STREAMS)])
_END = st.sampled_from([[], ["END_STREAM"]])
# Indexed and literal fields; the last two blocks do not decode.
_BLOCKS = st.sampled_from(
    [
        b"\x88",
        b"\x20\x88",
        b"\x8d",
        b"\x8e",
        b"\x08\x03410",
        b"\x08\x03100",
        b"\x08\x03503\x0f\x28\x0210",
        b"\x88\x0f\x0d\x013",
        b"\x48\x03429",
        b"\x00\x01a\x01b",
        b"\xff\xff",
        b"\xbe",
    ]
)


def _headers(stream_id: int, block: bytes, end: list[str], cut: int) -> bytes:
    if not 0 < cut < len(block):
        frame = HeadersFrame(stream_id, block, flags=["END_HEADERS", *end])
        return bytes(frame.serialize())
    first = HeadersFrame(stream_id, block[:cut], flags=end)
    rest = ContinuationFrame(stream_id, block[cut:], flags=["END_HEADERS"])
    return bytes(first.serialize() + rest.serialize())


def _data(stream_id: int, data: bytes, end: list[str], padding: int) -> bytes:
    flags = [*end, "PADDED"] if padding else end
    frame = DataFrame(stream_id, data, flags=flags, pad_length=padding)
    return bytes(frame.serialize())


def _of_any_type(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream_id.to_bytes(4, "big") + payload


# Mostly valid, because a value out of range ends a transcript early.
_SETTINGS = st.dictionaries(
    st.sampled_from([1, 3, 4, 6, 7]),
    st.sampled_from([0, 1, 100, 16_384, 65_535]),
    max_size=3,
)
_OUT_OF_RANGE = st.dictionaries(
    st.integers(1, 7), st.integers(0, 2**32 - 1), max_size=3
)
_ANSWERS = st.builds(
    lambda i, block, cut, body: (
        _headers(i, block, [], cut) + _data(i, body, ["END_STREAM"], len(body) % 3)
    ),
    _IDS,
    st.sampled_from([b"\x88", b"\x20\x88", b"\x8d", b"\x08\x03410"]),
    st.integers(0, 4),
    st.binary(max_size=9),
)
_FRAMES = st.one_of(
    _ANSWERS,
    _ANSWERS,
    _ANSWERS,
    st.builds(_headers, _IDS, _BLOCKS, _END, st.integers(0, 4)),
    st.builds(_data, _IDS, st.binary(max_size=40), _END, st.integers(0, 9)),
    st.builds(lambda i, c: RstStreamFrame(i, c).serialize(), _IDS, st.integers(0, 14)),
    st.builds(lambda s: SettingsFrame(0, s).serialize(), _SETTINGS),
    st.builds(
        lambda i, n: WindowUpdateFrame(i, n).serialize(), _IDS, st.integers(1, 9)
    ),
    st.builds(
        lambda last, c: GoAwayFrame(0, last, c, b'{"reason":"x"}').serialize(),
        st.integers(0, 2 * STREAMS),
        st.integers(0, 14),
    ),
    st.just(PingFrame(0, b"12345678").serialize()),
    st.just(PingFrame(0, b"12345678", flags=["ACK"]).serialize()),
    st.builds(lambda n: WindowUpdateFrame(0, n).serialize(), st.integers(1, 9)),
    st.builds(
        _of_any_type,
        st.sampled_from([2, 3, 8, 10, 12, 240]),
        st.integers(0, 255),
        st.integers(0, 2 * STREAMS + 2),
        st.binary(max_size=5),
    ),
    st.builds(lambda s: SettingsFrame(0, s).serialize(), _OUT_OF_RANGE),
)


@st.composite
def _mutated(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> bytes:
    """A transcript with some bytes changed, removed or inserted."""
    data = bytearray(draw(source))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        removed = draw(st.integers(0, 3))
        data[at : at + removed] = draw(st.binary(max_size=3))
    return bytes(data)


transcripts = st.lists(_FRAMES, min_size=8, max_size=25).map(b"".join)
anything = st.one_of(
    transcripts, transcripts, _mutated(transcripts), st.binary(max_size=200)
)

# A transcript, and a frame that follows it without an end.
floods = st.tuples(transcripts, _FRAMES)


@dataclass
class Transcript:
    """What another, lenient parser finds in the bytes."""

    # (stream id, status) of every header block.
    statuses: set[tuple[int, int]]
    ended: set[int]


def read(data: bytes) -> Transcript:
    """Parse frame by frame with jh2; protocol errors do not stop it."""
    found = Transcript(set(), set())
    block, block_id = b"", 0
    while len(data) >= 9:
        try:
            frame, length = Frame.parse_frame_header(memoryview(data[:9]))
            frame.parse_body(memoryview(data[9 : 9 + length]))
        except HyperframeError:
            length = int.from_bytes(data[:3], "big")
            frame = None
        data = data[9 + length :]
        if isinstance(frame, HeadersFrame | ContinuationFrame):
            begins = isinstance(frame, HeadersFrame)
            block = frame.data if begins else block + frame.data
            block_id = frame.stream_id
            if "END_HEADERS" in frame.flags:
                found.statuses.add((block_id, _status(bytes(block))))
        if isinstance(frame, HeadersFrame | DataFrame) and "END_STREAM" in frame.flags:
            found.ended.add(frame.stream_id)
    return found


def _status(block: bytes) -> int:
    if block[:1] == b"\x88":
        return 200
    try:
        name, value = Decoder().decode(block, raw=True)[0]
    except Exception:
        return 0
    return int(value) if name == b":status" and value.isdigit() else 0
