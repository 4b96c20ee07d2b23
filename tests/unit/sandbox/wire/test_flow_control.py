"""Response bodies within the peer's windows, frame by frame."""

import pytest

from sandbox.wire import frames
from sandbox.wire.flow_control import FlowControl
from sandbox.wire.frames import ProtocolError


def read(written: bytes) -> list[tuple[int, bool, bytes]]:
    """DATA frames as stream, whether it ends, and content."""
    found = []
    while written:
        size, flags = int.from_bytes(written[:3]), written[4]
        stream = int.from_bytes(written[5:9])
        found.append((stream, bool(flags & 1), written[9 : 9 + size]))
        written = written[9 + size :]
    return found


@pytest.fixture
def flow() -> FlowControl:
    return FlowControl()


def test_small_body_goes_at_once(flow: FlowControl) -> None:
    assert read(flow.send(1, b"{}")) == [(1, True, b"{}")]


def test_large_body_is_cut_into_frames(flow: FlowControl) -> None:
    body = bytes(range(256)) * 100

    written = read(flow.send(1, body))

    assert [len(content) for _, _, content in written] == [16_384, 9_216]
    assert b"".join(content for _, _, content in written) == body
    assert [end for _, end, _ in written] == [False, True]


def test_stream_window_holds_the_rest_back(flow: FlowControl) -> None:
    flow.apply_settings({frames.INITIAL_WINDOW_SIZE: 3})

    first = read(flow.send(1, b"12345"))
    flow.window_update(1, 1, is_open=False)
    second = read(flow.pump())
    flow.window_update(1, 10, is_open=False)
    third = read(flow.pump())

    assert first == [(1, False, b"123")]
    assert second == [(1, False, b"4")]
    assert third == [(1, True, b"5")]
    assert not flow.has_unsent()


def test_connection_window_is_shared_in_turns(flow: FlowControl) -> None:
    flow.send(1, bytes(frames.DEFAULT_WINDOW))
    waiting = flow.send(3, b"33") + flow.send(5, b"55")

    flow.window_update(0, 4, is_open=False)

    assert waiting == b""
    assert read(flow.pump()) == [(3, True, b"33"), (5, True, b"55")]


def test_window_may_become_negative_and_recover(flow: FlowControl) -> None:
    flow.apply_settings({frames.INITIAL_WINDOW_SIZE: 4})
    flow.send(1, b"123456")
    flow.apply_settings({frames.INITIAL_WINDOW_SIZE: 1})

    flow.window_update(1, 3, is_open=False)
    still_shut = flow.pump()
    flow.window_update(1, 2, is_open=False)

    assert still_shut == b""
    assert read(flow.pump()) == [(1, True, b"56")]


def test_credit_given_before_the_answer_counts(flow: FlowControl) -> None:
    flow.apply_settings({frames.INITIAL_WINDOW_SIZE: 0})

    flow.window_update(1, 5, is_open=True)

    assert read(flow.send(1, b"12345")) == [(1, True, b"12345")]


def test_dropped_stream_sends_no_more(flow: FlowControl) -> None:
    flow.apply_settings({frames.INITIAL_WINDOW_SIZE: 1})
    flow.send(1, b"12")

    flow.drop(1)
    flow.window_update(1, 9, is_open=False)

    assert flow.pump() == b""


def test_overflowing_window_is_an_error(flow: FlowControl) -> None:
    with pytest.raises(ProtocolError):
        flow.window_update(0, frames.LARGEST_WINDOW, is_open=False)
