"""A body is read completely, or its truncation is reported."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest

from host.body import READ_AHEAD, BlockingBody, BodyReader, BodyTruncated, Timeouts

LONG = b"0123456789abcdef" * (READ_AHEAD // 8)


class Pieces:
    """Pieces like granian's, with `ends` empty ones before the end."""

    def __init__(self, *pieces: bytes, ends: int = 1) -> None:
        self.rest = [*pieces, *[b""] * ends]

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        if not self.rest:
            raise StopAsyncIteration
        return self.rest.pop(0)


class Silence(Pieces):
    """Pieces of which the last one never arrives."""

    async def __anext__(self) -> bytes:
        if len(self.rest) == 1:
            await asyncio.Event().wait()
        return await super().__anext__()


def run(
    pieces: Pieces,
    length: int | None,
    then: Callable[[BodyReader], Any],
    **timeouts: float,
) -> Any:
    async def act() -> Any:
        return await then(BodyReader(pieces, length, Timeouts(**timeouts)))

    return asyncio.run(act())


@pytest.mark.parametrize("length", [6, None])
def test_a_short_body_is_read_completely(length: int | None) -> None:
    async def read(body: BodyReader) -> tuple[bytes, bool]:
        return await body.read_ahead(), body.is_complete

    assert run(Pieces(b"abc", b"def"), length, read) == (b"abcdef", True)


@pytest.mark.parametrize("length", [len(LONG), None])
def test_only_the_beginning_of_a_long_body_is_read_ahead(length: int | None) -> None:
    pieces = Pieces(*[LONG[at : at + 1000] for at in range(0, len(LONG), 1000)])

    async def read(body: BodyReader) -> tuple[int, bool]:
        return len(await body.read_ahead()), body.is_complete

    assert run(pieces, length, read) == (66_000, False)


def test_reading_stops_at_the_length() -> None:
    pieces = Pieces(b"abc")

    run(pieces, 3, BodyReader.read_ahead)

    assert pieces.rest == [b""]


@pytest.mark.parametrize(
    ("pieces", "length"),
    [
        (Pieces(b"abc", ends=2), None),
        (Pieces(ends=2), None),
        (Pieces(b"abc", ends=2), 5),
        # Shorter than its length, although granian reports a normal end.
        (Pieces(b"abc", ends=1), 5),
    ],
)
def test_a_truncated_body_is_reported(pieces: Pieces, length: int | None) -> None:
    with pytest.raises(BodyTruncated):
        run(pieces, length, BodyReader.read_ahead)


@pytest.mark.parametrize(
    "timeouts", [{"silent_s": 0.01}, {"short_s": 0.01}, {"short_s": -1.0}]
)
def test_a_body_that_stops_is_not_waited_for(timeouts: dict[str, float]) -> None:
    with pytest.raises(TimeoutError):
        run(Silence(b"abc"), 5, BodyReader.read_ahead, **timeouts)


def read_in_a_thread(pieces: Pieces, length: int | None, **timeouts: float) -> bytes:
    """Read the body in a thread, as the application does."""

    async def read(body: BodyReader) -> bytes:
        ahead = await body.read_ahead()
        stream = io.BufferedReader(
            BlockingBody(ahead, body, asyncio.get_running_loop())
        )
        return await asyncio.to_thread(stream.read)

    read_all: bytes = run(pieces, length, read, **timeouts)
    return read_all


@pytest.mark.parametrize("length", [len(LONG), None])
def test_a_thread_gets_all_of_a_long_body(length: int | None) -> None:
    pieces = Pieces(*[LONG[at : at + 1000] for at in range(0, len(LONG), 1000)])

    assert read_in_a_thread(pieces, length) == LONG


@pytest.mark.parametrize("length", [len(LONG) + 1, None])
def test_a_thread_gets_an_error_for_a_truncated_long_body(length: int | None) -> None:
    with pytest.raises(BodyTruncated):
        read_in_a_thread(Pieces(LONG, ends=2), length)


def test_a_thread_does_not_wait_for_a_long_body_that_stops() -> None:
    with pytest.raises(TimeoutError):
        read_in_a_thread(Silence(LONG), None, silent_s=0.01)
