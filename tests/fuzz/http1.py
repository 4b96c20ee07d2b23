"""Any bytes from an HTTP/1.1 server end in answers that they hold, or in ChannelDown.

`python -m tests.fuzz.http1 --seconds 600` runs longer than the tests do; `--seed` with
`--rounds 1` repeats a failure.
"""

import asyncio
import itertools
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from notifier.http2 import Head, Request, Response
from notifier.http2.batch import Batch, Queue
from notifier.http2.http1 import Http1Connection
from notifier.outcome import ChannelDown
from tests.fuzz import rounds
from tests.fuzz.http2 import Wire

REQUESTS = 4

_HEAD = Head(headers=(("ttl", "60"),))
_BODIES = st.binary(max_size=20)
_STATUSES = st.sampled_from([100, 101, 103, 200, 201, 204, 301, 404, 410, 429, 503])
_FIELDS = st.lists(
    st.sampled_from(
        [
            b"Retry-After: 30",
            b"Connection: close",
            b"Content-Length: 3",
            b"Transfer-Encoding: chunked",
            b"X: " + b"y" * 9000,
            b": nameless",
        ]
    ),
    max_size=3,
)


def _answer(status: int, fields: list[bytes], body: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    lines = [b"HTTP/1.1 %d Said" % status, *fields, length, b"", body]
    return b"\r\n".join(lines)


def _chunked(status: int, pieces: list[bytes]) -> bytes:
    head = b"HTTP/1.1 %d Said\r\nTransfer-Encoding: chunked\r\n\r\n" % status
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return head + b"".join(chunks) + b"0\r\n\r\n"


_PIECES = st.one_of(
    st.builds(_answer, _STATUSES, st.just([]), _BODIES),
    st.builds(_answer, _STATUSES, _FIELDS, _BODIES),
    st.builds(_chunked, _STATUSES, st.lists(_BODIES.filter(bool), max_size=4)),
    st.binary(max_size=20),
    st.sampled_from([b"\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200\r\n"]),
)
_TRANSCRIPTS = st.lists(_PIECES, max_size=8)
_ENDLESS = st.builds(
    lambda start, one: [*start, one * (1 + 100_000 // max(len(one), 1))],
    _TRANSCRIPTS,
    _PIECES,
)


async def play(pieces: list[bytes], cuts: list[int]) -> list[Response]:
    """The answers that a connection reads, in the order of its requests.

    A piece is sent when the one before has been read, as if it answered a request.
    """
    queue = Queue(lambda: None)
    answers: dict[int, Response] = {}

    def take(index: int, response: Response) -> None:
        assert index not in answers, "answered twice"
        answers[index] = response

    batch = Batch(_HEAD, [Request(b"body", b"/")] * REQUESTS, take, queue)
    queue.put(batch)
    connection = Http1Connection("push.test", queue, lambda _: None)
    connection.connection_made(Wire())
    connection.fill()
    for data in pieces:
        edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for start, stop in itertools.pairwise(edges):
            connection.data_received(data[start:stop])
    connection.connection_lost(None)
    queue.fail_all(ChannelDown("the end"))
    assert batch.done.done(), "a request hangs"
    assert not connection.open_requests
    error = batch.done.exception()
    assert isinstance(error, ChannelDown | None)
    assert (error is None) == (len(answers) == REQUESTS)
    return [answers[index] for index in sorted(answers)]


def survives(pieces: list[bytes], cuts: list[int]) -> None:
    """No hang, no crash, and no answer that is not in the bytes."""
    answers = asyncio.run(play(pieces, cuts))

    data = b"".join(pieces)
    for answer in answers:
        assert answer.status >= 200
        assert b" %d" % answer.status in data
        assert len(answer.body) <= 65_536
    assert len(answers) <= data.count(b"HTTP/1.")


def checks() -> list[Callable[[], None]]:
    """The checks as hypothesis runs them."""
    cuts = st.lists(st.integers(0, 2000), max_size=8)
    return [given(_TRANSCRIPTS, cuts)(survives), given(_ENDLESS, cuts)(survives)]


if __name__ == "__main__":
    rounds.run(__doc__ or "", checks, "transcripts")
