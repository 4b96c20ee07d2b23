"""Connections that may have one stream only until their first answer."""

import asyncio

from jh2 import events
from jh2.settings import SettingCodes

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually


async def test_a_first_request_that_hangs_does_not_delay_the_others():
    held: list[PeerRequest] = []

    def react(request: PeerRequest) -> None:
        held.append(request) if request.path == "/0" else request.answer(200)

    peer = Peer(on_request=react)
    async with talking_to(
        peer, one_stream_until_answer=True, request_timeout_s=20
    ) as client:
        sending = asyncio.create_task(h2_client.send(client, 300))
        await eventually(lambda: len(peer.requests) == 300)
        # The slow request was not cancelled.
        held[0].answer(410)
        sent = await sending

    assert sent.fault is None
    assert sent.statuses[0] == 410
    assert len(peer.connections) == 2
    assert peer.paths.count("/0") == 1


async def test_a_connection_with_a_late_first_answer_is_used_after_it():
    held: list[PeerRequest] = []
    peer = Peer(on_request=held.append, settings={3: 2})

    async with talking_to(
        peer, one_stream_until_answer=True, request_timeout_s=4, max_connections=2
    ) as client:
        sending = asyncio.create_task(h2_client.send(client, 60))
        await eventually(lambda: len(peer.connections) == 2 and len(held) == 2)
        peer.on_request = PeerRequest.answer
        for request in held:
            request.answer(200)
        sent = await sending

    assert len(sent.answers) == 60
    requests = [
        len(connection.seen(events.RequestReceived)) for connection in peer.connections
    ]
    assert min(requests) > 1


async def test_each_first_request_that_hangs_costs_one_connection():
    def react(request: PeerRequest) -> None:
        if int(request.path[1:]) > 2:
            request.answer(200)

    peer = Peer(on_request=react)
    async with talking_to(
        peer, one_stream_until_answer=True, request_timeout_s=8
    ) as client:
        sent = await h2_client.send(client, 100)

    assert sorted(sent.answers) == list(range(3, 100))
    assert "no answer within" in sent.fault.reason
    assert len(peer.connections) == 4


async def test_a_peer_that_never_answers_gets_few_connections():
    peer = Peer(on_request=lambda request: None)

    async with talking_to(
        peer, one_stream_until_answer=True, request_timeout_s=1
    ) as client:
        sent = await h2_client.send(client, 100)

    assert sent.answers == {}
    assert len(peer.connections) <= 6


async def test_a_peer_that_allows_no_stream_yet_gets_one_connection():
    peer = Peer(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 0})

    async with talking_to(
        peer, one_stream_until_answer=True, request_timeout_s=1
    ) as client:
        sent = await h2_client.send(client, 3)

    assert sent.answers == {}
    assert len(peer.connections) == 1
