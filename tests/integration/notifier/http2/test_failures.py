"""Failures of a connection: every request is answered, resent or failed."""

import asyncio

import pytest
from jh2.errors import ErrorCodes
from jh2.hyperframe.frame import GoAwayFrame, HeadersFrame
from jh2.settings import SettingCodes

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually


async def test_a_reset_stream_fails_its_request_only():
    def react(request: PeerRequest) -> None:
        request.reset() if request.path == "/3" else request.answer(200)

    async with talking_to(Peer(on_request=react)) as client:
        sent = await h2_client.send(client, 10)

    assert sorted(sent.answers) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert "INTERNAL_ERROR" in sent.fault.reason


async def test_a_refused_stream_is_sent_again():
    refused: set[str] = set()

    def refuse_once(request: PeerRequest) -> None:
        if request.path in refused:
            request.answer(200)
        else:
            refused.add(request.path)
            request.reset(ErrorCodes.REFUSED_STREAM)

    async with talking_to(Peer(on_request=refuse_once)) as client:
        sent = await h2_client.send(client, 50)

    assert sent.fault is None
    assert len(sent.answers) == 50


async def test_a_request_that_is_always_refused_fails():
    def react(request: PeerRequest) -> None:
        if request.path == "/1":
            request.reset(ErrorCodes.REFUSED_STREAM)
        else:
            request.answer(200)

    peer = Peer(on_request=react)
    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 3)

    assert sent.statuses == {0: 200, 2: 200}
    assert "REFUSED_STREAM" in sent.fault.reason
    assert peer.paths.count("/1") == 6


async def test_requests_above_goaways_last_stream_are_sent_again():
    def go_away_once(request: PeerRequest) -> None:
        connection = request.connection
        if len(connection.peer.connections) > 1:
            request.answer(200)
        elif request.path == "/9":
            # Streams 1, 3 and 5 were processed, the others were not.
            for stream_id in (1, 3, 5):
                connection.h2.send_headers(
                    stream_id, [(":status", "200")], end_stream=True
                )
            connection.goaway(last=5, debug=b'{"reason":"Shutdown"}')

    peer = Peer(on_request=go_away_once)
    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 10)

    assert sent.fault is None
    assert len(sent.answers) == 10
    assert sorted(peer.paths[10:]) == [f"/{i}" for i in range(3, 10)]


async def test_requests_up_to_goaways_last_stream_may_finish():
    held: list[PeerRequest] = []

    def hold(request: PeerRequest) -> None:
        held.append(request)
        if len(held) == 4:
            raw = GoAwayFrame(0, last_stream_id=2**31 - 1).serialize()
            request.connection.raw(raw)
            asyncio.get_running_loop().call_later(0.05, finish)

    def finish() -> None:
        for request in held:
            request.answer(200)

    peer = Peer(on_request=hold)
    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 4)
        await eventually(lambda: peer.connections[0].lost)

    assert sent.fault is None
    assert len(sent.answers) == 4


async def test_requests_behind_a_draining_connection_use_another():
    held: list[PeerRequest] = []

    def go_away_once(request: PeerRequest) -> None:
        if len(request.connection.peer.connections) > 1:
            request.answer(200)
        else:
            # GOAWAY includes this request, which is answered much later.
            held.append(request)
            request.connection.raw(GoAwayFrame(0, last_stream_id=1).serialize())

    peer = Peer(
        on_request=go_away_once, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    )
    async with talking_to(peer, max_connections=1) as client:
        sending = asyncio.create_task(h2_client.send(client, 5))
        await eventually(lambda: len(peer.requests) == 5)
        held[0].answer(200)
        sent = await sending

    assert len(sent.answers) == 5
    assert sent.fault is None


async def test_the_reason_of_a_goaway_reaches_the_caller():
    def go_away(request: PeerRequest) -> None:
        request.connection.goaway(last=1, code=2, debug=b'{"reason":"BadCertificate"}')
        request.connection.cut()

    async with talking_to(Peer(on_request=go_away)) as client:
        sent = await h2_client.send(client, 1)

    assert sent.answers == {}
    assert "BadCertificate" in sent.fault.reason


async def test_a_peer_that_closes_at_once_is_not_dialled_again():
    peer = Peer(on_request=lambda request: request.connection.goaway(last=0))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 5)

    assert sent.answers == {}
    assert sent.fault.retry_after_s > 0
    assert len(peer.connections) == 1


async def test_a_second_enhance_your_calm_in_a_row_causes_a_pause():
    def answer_and_go_away(request: PeerRequest) -> None:
        request.answer(200)
        calm = ErrorCodes.ENHANCE_YOUR_CALM
        request.connection.raw(GoAwayFrame(0, request.stream_id, calm).serialize())

    peer = Peer(
        on_request=answer_and_go_away, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    )
    async with talking_to(peer, max_connections=1) as client:
        sent = await h2_client.send(client, 10)

    # The first one is forgiven; the second in a row starts the backoff.
    assert len(peer.connections) == 2
    assert len(sent.answers) == 2
    assert "ENHANCE_YOUR_CALM" in sent.fault.reason
    assert sent.fault.retry_after_s > 0


@pytest.mark.parametrize("after", ["nothing", "headers", "half a frame"])
async def test_a_cut_connection_fails_its_open_requests(after):
    def react(request: PeerRequest) -> None:
        if len(request.connection.peer.connections) > 1 or request.path == "/0":
            request.answer(200)
            return
        if after == "headers":
            request.connection.h2.send_headers(request.stream_id, [(":status", "200")])
        elif after == "half a frame":
            frame = HeadersFrame(request.stream_id, b"\x88", flags=["END_HEADERS"])
            request.connection.raw(frame.serialize()[:-1])
        request.connection.cut()

    peer = Peer(on_request=react, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    async with talking_to(peer, max_connections=1) as client:
        sent = await h2_client.send(client, 4)

    # Requests that had not been sent use the next connection.
    assert sent.statuses == {0: 200, 2: 200, 3: 200}
    assert sent.fault is not None
