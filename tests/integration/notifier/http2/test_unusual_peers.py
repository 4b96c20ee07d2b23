"""Peers that do unusual things that the protocol allows."""

import asyncio
import ssl

import pytest
from jh2.hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame
from jh2.settings import SettingCodes

from notifier.http2 import Client
from tests.support import h2_client, h2_peer, tls
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually


def _raw(request: PeerRequest, block: bytes) -> None:
    flags = ["END_HEADERS", "END_STREAM"]
    request.connection.raw(
        HeadersFrame(request.stream_id, block, flags=flags).serialize()
    )


async def test_a_peer_may_use_a_header_table_until_it_acknowledges_our_settings():
    # A 200 that inserts a field, a 429 that is inserted itself, then both by index.
    blocks = [b"\x88\x40\x01a\x01b", b"\x48\x03429", b"\xbe\xbf", b"\x88\xbf"]
    peer = Peer(on_request=lambda request: _raw(request, blocks.pop(0)), acks=False)

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 4)

    assert sent.fault is None
    assert sent.statuses == {0: 200, 1: 429, 2: 429, 3: 200}
    assert sent.answers[2].headers == (("a", "b"),)
    assert sent.answers[3].headers == (("a", "b"),)


async def test_after_the_acknowledgement_the_header_table_is_empty():
    blocks = [b"\x48\x03429", b"\xbe"]
    peer = Peer(on_request=lambda request: _raw(request, blocks.pop(0)))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 2)

    assert sent.statuses == {0: 429}
    assert "header block" in sent.fault.reason


async def test_a_graceful_shutdown_in_two_steps_fails_no_request():
    """RFC 9113 §6.8: first a GOAWAY with the highest id, then the real one."""
    held: list[PeerRequest] = []

    def hold(request: PeerRequest) -> None:
        if len(request.connection.peer.connections) > 1:
            request.answer(200)
            return
        held.append(request)
        if len(held) == 6:
            for last in (2**31 - 1, 5, 3):
                request.connection.raw(GoAwayFrame(0, last_stream_id=last).serialize())
            for promised in held[:2]:
                promised.answer(410)

    peer = Peer(on_request=hold)
    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 6)

    assert sent.fault is None
    assert sent.statuses == dict.fromkeys(range(2), 410) | dict.fromkeys(
        range(2, 6), 200
    )
    assert [len(connection.open) for connection in peer.connections] == [0, 0]


async def test_a_200_that_never_ends_is_no_success():
    def begin(request: PeerRequest) -> None:
        request.connection.h2.send_headers(request.stream_id, [(":status", "200")])

    async with talking_to(Peer(on_request=begin), request_timeout_s=2.0) as client:
        sent = await h2_client.send(client, 2)

    assert sent.answers == {}
    assert "no answer" in sent.fault.reason


def _empty_data(request: PeerRequest) -> bytes:
    head = HeadersFrame(request.stream_id, b"\x88", flags=["END_HEADERS"]).serialize()
    return head + DataFrame(request.stream_id, b"").serialize() * 5000


def _priorities(request: PeerRequest) -> bytes:
    return (b"\0\0\x05\x02\0\0\0\0\x01" + bytes(5)) * 5000


@pytest.mark.parametrize("flood", [_empty_data, _priorities])
async def test_a_flood_of_empty_frames_ends_the_connection(flood):
    peer = Peer(on_request=lambda request: request.connection.raw(flood(request)))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1)

    assert sent.answers == {}
    assert "flood" in sent.fault.reason


async def test_a_peer_that_resets_every_stream_gets_each_request_once():
    peer = Peer(on_request=PeerRequest.reset)

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 300)

    assert sent.answers == {}
    assert len(peer.requests) == 300
    assert len(peer.connections) == 1


async def test_a_closed_window_delays_bodies_but_not_headers():
    shut = {SettingCodes.INITIAL_WINDOW_SIZE: 0}

    def react(request: PeerRequest) -> None:
        if request.path == "/0":
            request.connection.change(shut)
            asyncio.get_running_loop().call_later(0.1, _open_again, request)
        request.answer(200)

    def _open_again(request: PeerRequest) -> None:
        request.connection.change({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})

    async with talking_to(Peer(on_request=react)) as client:
        first = await h2_client.send(client, 1)
        sent = await h2_client.send(client, 40)

    assert first.statuses == {0: 200}
    assert len(sent.answers) == 40


async def test_a_close_notify_without_goaway_ends_the_connection():
    peer = Peer()

    async with talking_to(peer) as client:
        await h2_client.send(client, 1)
        # It sends close_notify without a GOAWAY.
        peer.connections[0].transport.close()
        await eventually(lambda: peer.connections[0].lost)
        sent = await h2_client.send(client, 3)

    assert len(sent.answers) == 3
    assert len(peer.connections) == 2


async def test_after_a_close_notify_waiting_requests_use_another_connection():
    def close_once(request: PeerRequest) -> None:
        if len(request.connection.peer.connections) > 1 or request.path == "/0":
            request.answer(200)
        else:
            request.connection.transport.close()

    peer = Peer(
        on_request=close_once, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    )
    async with talking_to(peer, max_connections=1) as client:
        sent = await h2_client.send(client, 4)

    assert sent.statuses == {0: 200, 2: 200, 3: 200}
    assert "closed by the peer" in sent.fault.reason


async def test_tls_1_2_is_supported():
    context = tls.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    async with h2_peer.serve(Peer(), context) as peer:
        client = Client(peer.url, tls=tls.client_context())
        sent = await h2_client.send(client, 2)
        await client.close()

    assert len(sent.answers) == 2


async def test_an_ipv6_address_is_supported():
    async with h2_peer.serve(Peer(), host="::1") as peer:
        client = Client(f"https://[::1]:{peer.port}", tls=tls.client_context())
        sent = await h2_client.send(client, 1)
        await client.close()

    assert sent.statuses == {0: 200}
    assert dict(peer.requests[0].headers)[":authority"] == f"[::1]:{peer.port}"


async def test_an_expired_certificate_prevents_only_new_connections():
    context = tls.server_context()
    expired = tls.authority().issue_expired("expired.test")

    async with h2_peer.serve(Peer(), context) as peer:
        client = Client(peer.url, tls=tls.client_context())
        before = await h2_client.send(client, 1)
        context.load_cert_chain(expired.certificate, expired.key)
        kept = await h2_client.send(client, 1)
        peer.connections[0].transport.close()
        await eventually(lambda: peer.connections[0].lost)
        refused = await h2_client.send(client, 1)
        await client.close()

    assert before.statuses == kept.statuses == {0: 200}
    assert refused.answers == {}
    assert "expired" in refused.fault.reason
    assert refused.fault.retry_after_s > 0
