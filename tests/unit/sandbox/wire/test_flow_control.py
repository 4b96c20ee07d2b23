"""Bodies within the peer's windows, frame by frame."""

import pytest

from sandbox.wire import frames
from sandbox.wire.flow_control import Bodies
from sandbox.wire.frames import Broken


def read(written: bytes) -> list[tuple[int, bool, bytes]]:
    """The DATA frames in it: stream, whether it ends, content."""
    found = []
    while written:
        size, flags = int.from_bytes(written[:3]), written[4]
        stream = int.from_bytes(written[5:9])
        found.append((stream, bool(flags & 1), written[9 : 9 + size]))
        written = written[9 + size :]
    return found


@pytest.fixture
def bodies() -> Bodies:
    return Bodies()


def test_small_body_goes_at_once(bodies: Bodies) -> None:
    assert read(bodies.frames_of(1, b"{}")) == [(1, True, b"{}")]


def test_large_body_is_cut_into_frames(bodies: Bodies) -> None:
    body = bytes(range(256)) * 100

    written = read(bodies.frames_of(1, body))

    assert [len(content) for _, _, content in written] == [16_384, 9_216]
    assert b"".join(content for _, _, content in written) == body
    assert [end for _, end, _ in written] == [False, True]


def test_stream_window_holds_the_rest_back(bodies: Bodies) -> None:
    bodies.adopt({frames.INITIAL_WINDOW_SIZE: 3})

    first = read(bodies.frames_of(1, b"12345"))
    bodies.widen(1, 1, is_open=False)
    second = read(bodies.pump())
    bodies.widen(1, 10, is_open=False)
    third = read(bodies.pump())

    assert first == [(1, False, b"123")]
    assert second == [(1, False, b"4")]
    assert third == [(1, True, b"5")]
    assert not bodies.sending()


def test_connection_window_is_shared_in_turns(bodies: Bodies) -> None:
    bodies.frames_of(1, bytes(frames.DEFAULT_WINDOW))
    waiting = bodies.frames_of(3, b"33") + bodies.frames_of(5, b"55")

    bodies.widen(0, 4, is_open=False)

    assert waiting == b""
    assert read(bodies.pump()) == [(3, True, b"33"), (5, True, b"55")]


def test_window_may_become_negative_and_recover(bodies: Bodies) -> None:
    bodies.adopt({frames.INITIAL_WINDOW_SIZE: 4})
    bodies.frames_of(1, b"123456")
    bodies.adopt({frames.INITIAL_WINDOW_SIZE: 1})

    bodies.widen(1, 3, is_open=False)
    still_shut = bodies.pump()
    bodies.widen(1, 2, is_open=False)

    assert still_shut == b""
    assert read(bodies.pump()) == [(1, True, b"56")]


def test_credit_given_before_the_answer_counts(bodies: Bodies) -> None:
    bodies.adopt({frames.INITIAL_WINDOW_SIZE: 0})

    bodies.widen(1, 5, is_open=True)

    assert read(bodies.frames_of(1, b"12345")) == [(1, True, b"12345")]


def test_forgotten_stream_sends_no_more(bodies: Bodies) -> None:
    bodies.adopt({frames.INITIAL_WINDOW_SIZE: 1})
    bodies.frames_of(1, b"12")

    bodies.forget(1)
    bodies.widen(1, 9, is_open=False)

    assert bodies.pump() == b""


def test_overflowing_window_is_an_error(bodies: Bodies) -> None:
    with pytest.raises(Broken):
        bodies.widen(0, frames.LARGEST_WINDOW, is_open=False)
