"""Header blocks and frames, read by a foreign HPACK decoder."""

import pytest
from jh2._hazmat import Decoder

from sandbox.wire import frames
from sandbox.wire.frames import ProtocolError


@pytest.mark.parametrize("status", [200, 400, 403, 410, 413, 429, 503])
def test_status_is_read_by_another_decoder(status: int) -> None:
    [(name, value, _)] = Decoder().decode(frames.header_block(status, ()), False)

    assert (name, value) == (":status", str(status))


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 300, 20_000])
def test_values_of_all_lengths_are_read_by_another_decoder(size: int) -> None:
    block = frames.header_block(200, (("x-long", "v" * size),))

    assert Decoder(100_000).decode(block, False)[1][:2] == ("x-long", "v" * size)


def test_blocks_need_no_dynamic_table() -> None:
    block = frames.header_block(429, (("retry-after", "5"),))
    decoder = Decoder()
    decoder.header_table_size = 0

    assert decoder.decode(block, False) == decoder.decode(block, False)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05abc"])
def test_padding_longer_than_the_frame_is_an_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.unpadded(frames.PADDED, payload)


def test_padding_is_removed() -> None:
    assert frames.unpadded(frames.PADDED, b"\x02abc..") == b"abc"
    assert frames.unpadded(0, b"\x02abc..") == b"\x02abc.."
