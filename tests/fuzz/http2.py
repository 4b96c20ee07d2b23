"""Any bytes from a server end in the answers they hold or in ChannelDown.

`python -m tests.fuzz.http2 --seconds 600` runs longer than the tests do; `--seed` with
`--rounds 1` repeats a failure.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from notifier.http2 import Head, Request, Response, budget
from notifier.http2.batch import Batch, Queue
from notifier.http2.connection import Connection
from notifier.http2.messages import PLAIN_OK
from notifier.http2.share import Share
from notifier.http2.streams import Streams
from notifier.outcome import ChannelDown
from tests.fuzz import rounds
from tests.support import h2_bytes

_HEAD = Head(headers=(("apns-topic", "app"),))
_CUTS = st.lists(st.integers(0, 2000), max_size=8)
_SETTINGS = bytes(3) + b"\x04" + bytes(5)
_ACK = bytes(3) + b"\x04\x01" + bytes(4)


class Wire(asyncio.Transport):
    """A transport that discards all writes."""

    def __init__(self) -> None:
        self.closing = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert data

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None: ...

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closing = True

    abort = close


def _record_answers(streams: Streams) -> dict[int, Response]:
    """The responses by stream; it is filled while the connection reads."""
    recorded: dict[int, Response] = {}
    answer, accept = streams.answer, streams.accept

    def record(stream_id: int, response: Response) -> None:
        recorded[stream_id] = response
        answer(stream_id, response)

    def record_accepted(requests: Mapping[int, tuple[Batch, int]]) -> None:
        recorded.update(dict.fromkeys(requests, PLAIN_OK))
        accept(requests)

    streams.answer = record  # type: ignore[method-assign]
    streams.accept = record_accepted  # type: ignore[method-assign]
    return recorded


async def play(
    data: bytes,
    cuts: list[int],
    *,
    greeting: bytes = _SETTINGS + _ACK,
    turns: bool | None = None,
) -> dict[int, Response]:
    """The answers, by stream, that a connection reads from these bytes.

    With `turns`, each frame that is not a plain answer takes a turn of its own; these
    come to their turn before the next bytes if it is true, else when the peer closes.
    """
    queue = Queue(lambda: None)
    answers: dict[int, Response] = {}

    def take(index: int, response: Response) -> None:
        assert index not in answers, "answered twice"
        answers[index] = response

    def take_accepted(indexes: Sequence[int]) -> None:
        for index in indexes:
            take(index, PLAIN_OK)

    requests = [Request(b"body", b"/")] * h2_bytes.STREAMS
    batch = Batch(_HEAD, requests, take, queue, take_accepted)
    options = {} if turns is None else {"turn_s": -1.0}
    connection = Connection(
        "push.test", queue, lambda _: None, share=Share(), **options
    )
    answered = _record_answers(connection.streams)
    connection.connection_made(Wire())
    connection.data_received(greeting)
    queue.put(batch)
    connection.fill()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, stop in itertools.pairwise(edges):
        connection.data_received(data[start:stop])
        while turns and connection.awaits_turn:
            await asyncio.sleep(0)
    connection.connection_lost(None)
    queue.fail_all(ChannelDown("the end"))
    assert batch.done.done(), "a request hangs"
    assert not connection.streams.open
    error = batch.done.exception()
    assert isinstance(error, ChannelDown | None)
    assert (error is None) == (len(answers) == h2_bytes.STREAMS)
    assert sorted(answered.values()) == sorted(answers.values())
    return answered


def survives_any_greeting(data: bytes, cuts: list[int]) -> None:
    """A server that does not begin with SETTINGS gets no request."""
    answered = asyncio.run(play(data, cuts, greeting=b""))

    assert answered == {}


def survives_without_acknowledgement(data: bytes, cuts: list[int]) -> None:
    """The peer may keep a header table then; play() asserts that no request hangs."""
    asyncio.run(play(data, cuts, greeting=_SETTINGS))


def survives(data: bytes, cuts: list[int]) -> None:
    """No hang, no crash, and no answer that is not in the bytes."""
    answered = asyncio.run(play(data, cuts))

    _are_in(data, answered)


def survives_turns(data: bytes, cuts: list[int]) -> None:
    """The answers are the same, however little is read at a time."""
    at_once = asyncio.run(play(data, cuts))

    in_turns = [asyncio.run(play(data, cuts, turns=turns)) for turns in (True, False)]

    assert in_turns == [at_once, at_once]


def survives_a_flood(flood: tuple[bytes, bytes], cuts: list[int]) -> None:
    """As long a flood as ends the connection, if nothing else does."""
    start, one = flood
    answered = asyncio.run(play(start + one * (budget.CAPACITY + 1), cuts))

    # A stream is answered once, so the frame need not be looked at so often.
    _are_in(start + one * 2, answered)


def _are_in(data: bytes, answered: Mapping[int, Response]) -> None:
    found = h2_bytes.read(data)
    for stream_id, answer in answered.items():
        assert (stream_id, answer.status) in found.statuses
        assert stream_id in found.ended


def flood_check() -> Callable[[], None]:
    return given(h2_bytes.floods, _CUTS)(survives_a_flood)


def checks() -> list[Callable[[], None]]:
    """The checks as hypothesis runs them."""
    return [
        given(h2_bytes.anything, _CUTS)(survives),
        given(h2_bytes.anything, _CUTS)(survives_turns),
        given(h2_bytes.anything, _CUTS)(survives_without_acknowledgement),
        given(st.binary(max_size=60), _CUTS)(survives_any_greeting),
    ]


if __name__ == "__main__":
    rounds.run(__doc__ or "", lambda: [*checks(), flood_check()], "transcripts")
