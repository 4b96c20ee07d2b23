"""Peers that are slow, silent or dead."""

import asyncio
import time

from jh2 import events
from jh2.errors import ErrorCodes

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually


async def test_a_request_without_an_answer_fails_at_its_deadline():
    def react(request: PeerRequest) -> None:
        if request.path != "/1":
            request.answer(200)

    peer = Peer(on_request=react)
    async with talking_to(peer, request_timeout_s=2.0) as client:
        began = time.monotonic()
        sent = await h2_client.send(client, 3)
        took_s = time.monotonic() - began
        await eventually(lambda: peer.connections[0].seen(events.StreamReset))

    assert sent.statuses == {0: 200, 2: 200}
    assert "no answer within 2 s" in sent.fault.reason
    assert 2.0 <= took_s < 20
    reset = peer.connections[0].seen(events.StreamReset)[0]
    assert (reset.stream_id, reset.error_code) == (3, ErrorCodes.CANCEL)


async def test_an_answer_after_its_deadline_is_ignored():
    late: list[PeerRequest] = []
    peer = Peer(on_request=late.append)

    async with talking_to(peer, request_timeout_s=1.5) as client:
        expired = await h2_client.send(client, 1)
        block = peer.connections[0].h2.encoder.encode([(b":status", b"200", False)])
        peer.connections[0].raw(
            b"\0\0" + bytes([len(block)]) + b"\x01\x05\0\0\0\x01" + block
        )
        peer.on_request = PeerRequest.answer
        sent = await h2_client.send(client, 2)

    assert expired.answers == {}
    assert sent.statuses == {0: 200, 1: 200}
    assert len(peer.connections) == 1


async def test_a_slow_answer_before_the_deadline_counts():
    def slowly(request: PeerRequest) -> None:
        asyncio.get_running_loop().call_later(0.3, request.answer, 200)

    async with talking_to(Peer(on_request=slowly), request_timeout_s=20) as client:
        sent = await h2_client.send(client, 3)

    assert sent.statuses == {0: 200, 1: 200, 2: 200}


async def test_an_idle_connection_is_kept_alive_with_pings():
    peer = Peer()

    async with talking_to(peer, idle_ping_s=0.5, request_timeout_s=10) as client:
        await h2_client.send(client, 1)
        await eventually(
            lambda: len(peer.connections[0].seen(events.PingReceived)) >= 3
        )
        sent = await h2_client.send(client, 1)

    assert sent.statuses == {0: 200}
    assert len(peer.connections) == 1


async def test_a_peer_that_does_not_answer_pings_is_replaced():
    peer = Peer()

    async with talking_to(peer, idle_ping_s=0.5, request_timeout_s=10) as client:
        await h2_client.send(client, 1)
        peer.deaf = True
        await eventually(lambda: peer.connections[0].lost)
        peer.deaf = False
        sent = await h2_client.send(client, 1)

    assert sent.statuses == {0: 200}
    assert len(peer.connections) == 2


async def test_a_ping_detects_a_peer_that_died_with_requests_open():
    def die(request: PeerRequest) -> None:
        request.connection.peer.deaf = True

    peer = Peer(on_request=die)
    async with talking_to(peer, idle_ping_s=0.5, request_timeout_s=60) as client:
        sent = await h2_client.send(client, 1)

    assert "does not answer PING" in sent.fault.reason


async def test_a_connection_whose_peer_does_not_read_ends_at_the_deadline():
    peer = Peer(settings={4: 2**31 - 1})

    async with talking_to(peer, request_timeout_s=2.0, max_connections=1) as client:
        await h2_client.send(client, 1)
        connection = peer.connections[0]
        connection.transport.pause_reading()
        connection.h2.increment_flow_control_window(2**30)
        connection.flush()
        began = time.monotonic()
        sent = await h2_client.send(client, 400, b"x" * 60_000)

    assert sent.answers == {}
    assert time.monotonic() - began < 20
