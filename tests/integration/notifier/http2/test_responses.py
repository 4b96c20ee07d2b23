"""Responses in every form that the protocol allows, and in some that it forbids."""

import asyncio

import pytest
from jh2.hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame
from jh2.settings import SettingCodes

from notifier.outcome import ChannelDown
from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually


def _block(request: PeerRequest, *fields: tuple[str, str]) -> bytes:
    raw = [(name.encode(), value.encode(), False) for name, value in fields]
    return request.connection.h2.encoder.encode(raw)


def _headers(request: PeerRequest, block: bytes, *flags: str) -> bytes:
    frame = HeadersFrame(request.stream_id, block, flags=flags)
    return frame.serialize()


def _data(request: PeerRequest, data: bytes, *flags: str, pad_length: int = 0) -> bytes:
    frame = DataFrame(request.stream_id, data, flags=flags, pad_length=pad_length)
    return frame.serialize()


async def test_status_fields_and_body_arrive():
    fields = [("apns-id", "8f1c"), ("content-type", "application/json")]
    peer = Peer(
        on_request=lambda request: request.answer(410, fields, b'{"reason":"x"}')
    )

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1)

    assert sent.answers[0] == (410, tuple(fields), b'{"reason":"x"}')


async def test_the_request_arrives_as_it_was_given():
    peer = Peer()

    async with talking_to(peer) as client:
        await h2_client.send(client, 2, b"a body")

    request = peer.requests[1]
    assert request.body == b"a body"
    assert request.headers == [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", f"localhost:{peer.port}"),
        (":path", "/1"),
        *h2_client.HEAD.headers,
    ]


async def test_a_hundred_responses_in_any_order_match_their_requests():
    held: list[PeerRequest] = []

    def answer_backwards(request: PeerRequest) -> None:
        held.append(request)
        if len(held) == 100:
            for one in reversed(held):
                one.answer(200, body=one.path.encode())

    async with talking_to(Peer(on_request=answer_backwards)) as client:
        sent = await h2_client.send(client, 100)

    assert {i: r.body for i, r in sent.answers.items()} == {
        i: b"/%d" % i for i in range(100)
    }


async def test_an_empty_body_ends_the_request_with_its_headers():
    peer = Peer()

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1, b"")

    assert sent.statuses == {0: 200}
    assert peer.requests[0].body == b""


async def test_interim_responses_are_skipped():
    def hesitate(request: PeerRequest) -> None:
        for status in ("100", "103"):
            request.connection.h2.send_headers(request.stream_id, [(":status", status)])
        request.answer(200, body=b"done")

    async with talking_to(Peer(on_request=hesitate)) as client:
        sent = await h2_client.send(client, 1)

    assert sent.answers[0].body == b"done"


async def test_trailers_end_a_response():
    def with_trailers(request: PeerRequest) -> None:
        h2 = request.connection.h2
        h2.send_headers(request.stream_id, [(":status", "200")])
        h2.send_data(request.stream_id, b"body")
        h2.send_headers(request.stream_id, [("checksum", "1")], end_stream=True)

    async with talking_to(Peer(on_request=with_trailers)) as client:
        sent = await h2_client.send(client, 1)

    assert sent.answers[0].body == b"body"


async def test_padding_is_removed_from_responses():
    def padded(request: PeerRequest) -> None:
        request.connection.h2.send_headers(request.stream_id, [(":status", "400")])
        request.connection.h2.send_data(
            request.stream_id, b"padded", True, pad_length=200
        )

    async with talking_to(Peer(on_request=padded)) as client:
        sent = await h2_client.send(client, 3)

    assert [r.body for r in sent.answers.values()] == [b"padded"] * 3


async def test_headers_may_come_in_many_frames():
    def in_pieces(request: PeerRequest) -> None:
        block = _block(request, (":status", "429"), ("retry-after", "7"))
        raw = HeadersFrame(
            request.stream_id, block[:1], flags=["END_STREAM"]
        ).serialize()
        for octet in block[1:-1]:
            raw += ContinuationFrame(request.stream_id, bytes([octet])).serialize()
        last = ContinuationFrame(request.stream_id, block[-1:], flags=["END_HEADERS"])
        request.connection.raw(raw + last.serialize())

    async with talking_to(Peer(on_request=in_pieces)) as client:
        sent = await h2_client.send(client, 2)

    assert sent.answers[1] == (429, (("retry-after", "7"),), b"")


async def test_a_body_in_many_small_frames_is_joined():
    def crumble(request: PeerRequest) -> None:
        request.connection.h2.send_headers(request.stream_id, [(":status", "200")])
        for octet in b"crumbs":
            request.connection.h2.send_data(request.stream_id, bytes([octet]))
        request.connection.h2.end_stream(request.stream_id)

    async with talking_to(Peer(on_request=crumble)) as client:
        sent = await h2_client.send(client, 1)

    assert sent.answers[0].body == b"crumbs"


async def test_a_response_before_the_end_of_the_request_counts():
    # The window of 65,535 bytes lets through only a part of the body.
    peer = Peer(widens=False)

    async with talking_to(peer) as client:
        sending = asyncio.create_task(h2_client.send(client, 1, b"x" * 200_000))
        await eventually(lambda: peer.connections and peer.connections[0].open)
        request = next(iter(peer.connections[0].open.values()))
        request.answer(413, body=b"too large")
        sent = await sending
        again = await h2_client.send(client, 0)

    assert sent.answers[0].status == 413
    assert again.fault is None


@pytest.mark.parametrize(
    "malformed",
    [
        lambda a: _headers(a, b"\x00\x01a\x01b", "END_HEADERS", "END_STREAM"),
        lambda a: _headers(a, b"\x08\x03101", "END_HEADERS"),
        lambda a: _headers(a, b"\x08\x03100", "END_HEADERS", "END_STREAM"),
        lambda a: _data(a, b"body first", "END_STREAM"),
        lambda a: _headers(a, b"\x88", "END_HEADERS") + _headers(a, b"", "END_HEADERS"),
        lambda a: (
            _headers(a, b"\x88", "END_HEADERS")
            + _headers(a, b"\x8d", "END_HEADERS", "END_STREAM")
        ),
        lambda a: (
            _headers(a, b"\x08\x03500\x0f\x0d\x0212", "END_HEADERS")
            + _data(a, b"eleven byte", "END_STREAM")
        ),
    ],
    ids=[
        "no status",
        "switching protocols",
        "interim at the end",
        "body before headers",
        "headers twice",
        "status in trailers",
        "wrong content-length",
    ],
)
async def test_a_malformed_response_fails_its_request_only(malformed):
    def react(request: PeerRequest) -> None:
        if request.path == "/1":
            request.connection.raw(malformed(request))
        else:
            request.answer(200)

    peer = Peer(on_request=react)
    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 3)

    assert sent.statuses == {0: 200, 2: 200}
    assert sent.fault is not None
    assert len(peer.connections) == 1


async def test_a_response_that_is_too_large_is_cancelled():
    def flood(request: PeerRequest) -> None:
        if request.path == "/0":
            request.answer(200)
            return
        request.connection.h2.send_headers(request.stream_id, [(":status", "200")])
        for _ in range(4):
            request.connection.h2.send_data(request.stream_id, b"x" * 16_384)
        request.connection.h2.send_data(request.stream_id, b"x")

    async with talking_to(Peer(on_request=flood)) as client:
        sent = await h2_client.send(client, 2)

    assert sent.statuses == {0: 200}
    assert "larger than any" in str(sent.fault)


async def test_the_window_is_widened_for_any_number_of_responses():
    # A total of 24 MB, more than a connection's window of 16 MiB.
    peer = Peer(
        on_request=lambda request: request.answer(500, body=b"x" * 16_000),
        settings={SettingCodes.MAX_CONCURRENT_STREAMS: 100},
    )

    async with talking_to(peer, max_connections=1) as client:
        sent = await h2_client.send(client, 1500)

    assert sent.fault is None
    assert len(sent.answers) == 1500


async def test_plain_200s_are_reported_together_and_all_others_alone():
    def react(request: PeerRequest) -> None:
        if request.path == "/1":
            request.answer(410)
        elif request.path == "/2":
            request.answer(200, body=b"{}")
        else:
            request.answer(200, [("apns-id", "8f1c")])

    sent, accepted = h2_client.Sent(), []
    async with talking_to(Peer(on_request=react)) as client:
        # The first answer comes before the peer has acknowledged our settings.
        await h2_client.send(client, 1)
        requests = h2_client.requests(300)
        await client.send(h2_client.HEAD, requests, sent.take, accepted.extend)

    assert sent.statuses == {1: 410, 2: 200}
    assert sorted(accepted) == [0, *range(3, 300)]


async def test_an_error_of_the_caller_of_plain_200s_comes_back():
    def fail(indexes: object) -> None:
        raise RuntimeError("ours")

    async with talking_to(Peer()) as client:
        with pytest.raises(RuntimeError, match="ours"):
            await client.send(
                h2_client.HEAD, h2_client.requests(3), h2_client.Sent().take, fail
            )


async def test_plain_200s_before_a_broken_frame_are_answers():
    def break_off(request: PeerRequest) -> None:
        if request.stream_id == 1:
            request.answer()
        elif request.path == "/2":
            connection = request.connection
            # In one piece, so that the client reads them together.
            for number in (3, 5):
                head = [(":status", "200")]
                connection.h2.send_headers(number, head, end_stream=True)
            broken = b"\xff\xff\xff\0\0\0\0\0\0"
            connection.transport.write(connection.h2.data_to_send() + broken)

    sent, accepted = h2_client.Sent(), []
    async with talking_to(Peer(on_request=break_off)) as client:
        await h2_client.send(client, 1)
        requests = h2_client.requests(3)
        with pytest.raises(ChannelDown):
            await client.send(h2_client.HEAD, requests, sent.take, accepted.extend)

    assert sorted(accepted) == [0, 1]
    assert sent.answers == {}
