"""Writing and parsing frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jh2.hyperframe.frame import Frame, GoAwayFrame, SettingsFrame, WindowUpdateFrame

from notifier.http2 import frames
from notifier.http2.frames import Code, PeerError


def _read(data: bytes) -> Frame:
    frame, length = Frame.parse_frame_header(memoryview(data[:9]))
    frame.parse_body(memoryview(data[9:]))
    assert len(data) == 9 + length
    return frame


def test_settings_are_read_by_another_implementation():
    frame = _read(frames.settings({1: 0, 4: 65_537}))

    assert isinstance(frame, SettingsFrame)
    assert frame.settings == {1: 0, 4: 65_537}


def test_a_window_update_is_read_by_another_implementation():
    frame = _read(frames.window_update(5, 1000))

    assert isinstance(frame, WindowUpdateFrame)
    assert (frame.stream_id, frame.window_increment) == (5, 1000)


def test_goaway_has_code_and_reason():
    frame = _read(frames.goaway(Code.PROTOCOL_ERROR, "that was not HTTP/2"))

    assert isinstance(frame, GoAwayFrame)
    assert frame.error_code == 1
    assert frame.additional_data == b"that was not HTTP/2"


@pytest.mark.parametrize(
    ("debug", "words"),
    [
        (b"", "NO_ERROR"),
        (b'{"reason":"Shutdown"}', "NO_ERROR, Shutdown"),
        (b"maintenance\r\n", "NO_ERROR, maintenance"),
        (b"[" * 900, "NO_ERROR, " + "[" * 200),
        (b'{"reason":null}', "NO_ERROR, None"),
        (b"\xff\x00", "NO_ERROR, �"),
    ],
)
def test_the_reason_of_a_goaway_is_put_in_words(debug, words):
    payload = GoAwayFrame(0, last_stream_id=7, additional_data=debug).serialize()[9:]

    assert frames.parse_goaway(payload) == (7, 0, words)


@pytest.mark.parametrize("length", [1, 5, 7])
def test_settings_of_a_wrong_length_are_refused(length):
    with pytest.raises(PeerError) as caught:
        frames.parse_settings(b"\0" * length)

    assert caught.value.code is Code.FRAME_SIZE_ERROR


@given(st.binary(max_size=300), st.integers(0, 255))
def test_padding_is_removed(data, padding):
    payload = bytes([padding]) + data + b"\0" * padding

    assert frames.strip_padding(frames.PADDED, payload) == data


@pytest.mark.parametrize("payload", [b"", b"\x05\0\0", b"\xff"])
def test_more_padding_than_payload_is_refused(payload):
    with pytest.raises(PeerError):
        frames.strip_padding(frames.PADDED, payload)


def test_a_priority_is_skipped():
    flags = frames.PRIORITIZED | frames.PADDED

    assert frames.strip_padding(flags, b"\x01" + b"prio!" + b"\x88" + b"\0") == b"\x88"


def test_an_unknown_error_code_still_has_a_name():
    assert frames.code_name(999) == "error code 999"
