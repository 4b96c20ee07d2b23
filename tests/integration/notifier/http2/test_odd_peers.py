"""Peers that are within their rights, and odd."""

import asyncio
import ssl

import pytest
from jh2.hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame
from jh2.settings import SettingCodes

from notifier.http2 import Client
from tests.support import h2_client, h2_peer, tls
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Asked, Peer
from tests.support.wait import eventually


def _raw(asked: Asked, block: bytes) -> None:
    flags = ["END_HEADERS", "END_STREAM"]
    asked.visit.raw(HeadersFrame(asked.stream_id, block, flags=flags).serialize())


async def test_before_it_has_acknowledged_our_settings_a_peer_may_keep_a_table():
    # 200 that puts a field into the table, 429 that is put there, then both by index.
    blocks = [b"\x88\x40\x01a\x01b", b"\x48\x03429", b"\xbe\xbf", b"\x88\xbf"]
    peer = Peer(on_request=lambda asked: _raw(asked, blocks.pop(0)), acks=False)

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 4)

    assert sent.fault is None
    assert sent.statuses == {0: 200, 1: 429, 2: 429, 3: 200}
    assert sent.answers[2].headers == (("a", "b"),)
    assert sent.answers[3].headers == (("a", "b"),)


async def test_after_the_acknowledgement_there_is_no_table():
    blocks = [b"\x48\x03429", b"\xbe"]
    peer = Peer(on_request=lambda asked: _raw(asked, blocks.pop(0)))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 2)

    assert sent.statuses == {0: 429}
    assert "header block" in sent.fault.reason


async def test_a_graceful_shutdown_in_two_steps_loses_nobody():
    """RFC 9113 §6.8: first a GOAWAY with the highest id, then the true one."""
    held: list[Asked] = []

    def hold(asked: Asked) -> None:
        if len(asked.visit.peer.visits) > 1:
            asked.answer(200)
            return
        held.append(asked)
        if len(held) == 6:
            for last in (2**31 - 1, 5, 3):
                asked.visit.raw(GoAwayFrame(0, last_stream_id=last).serialize())
            for promised in held[:2]:
                promised.answer(410)

    peer = Peer(on_request=hold)
    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 6)

    assert sent.fault is None
    assert sent.statuses == dict.fromkeys(range(2), 410) | dict.fromkeys(
        range(2, 6), 200
    )
    assert [len(visit.open) for visit in peer.visits] == [0, 0]


async def test_a_200_that_never_ends_is_no_yes():
    def begin(asked: Asked) -> None:
        asked.visit.h2.send_headers(asked.stream_id, [(":status", "200")])

    async with talking_to(Peer(on_request=begin), request_timeout_s=2.0) as client:
        sent = await h2_client.send(client, 2)

    assert sent.answers == {}
    assert "no answer" in sent.fault.reason


def _empty_data(asked: Asked) -> bytes:
    head = HeadersFrame(asked.stream_id, b"\x88", flags=["END_HEADERS"]).serialize()
    return head + DataFrame(asked.stream_id, b"").serialize() * 2500


def _priorities(asked: Asked) -> bytes:
    return (b"\0\0\x05\x02\0\0\0\0\x01" + bytes(5)) * 2500


@pytest.mark.parametrize("flood", [_empty_data, _priorities])
async def test_a_flood_of_frames_that_say_nothing_ends_the_connection(flood):
    peer = Peer(on_request=lambda asked: asked.visit.raw(flood(asked)))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1)

    assert sent.answers == {}
    assert "flood" in sent.fault.reason


async def test_a_peer_that_resets_every_stream_loses_each_request_once():
    peer = Peer(on_request=Asked.reset)

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 300)

    assert sent.answers == {}
    assert len(peer.asked) == 300
    assert len(peer.visits) == 1


async def test_a_window_that_is_shut_midway_holds_bodies_back_and_no_heads():
    shut = {SettingCodes.INITIAL_WINDOW_SIZE: 0}

    def react(asked: Asked) -> None:
        if asked.path == "/0":
            asked.visit.change(shut)
            asyncio.get_running_loop().call_later(0.1, _open_again, asked)
        asked.answer(200)

    def _open_again(asked: Asked) -> None:
        asked.visit.change({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})

    async with talking_to(Peer(on_request=react)) as client:
        first = await h2_client.send(client, 1)
        sent = await h2_client.send(client, 40)

    assert first.statuses == {0: 200}
    assert len(sent.answers) == 40


async def test_a_farewell_of_tls_alone_is_the_end_of_a_connection():
    peer = Peer()

    async with talking_to(peer) as client:
        await h2_client.send(client, 1)
        # close_notify, and no GOAWAY before it.
        peer.visits[0].transport.close()
        await eventually(lambda: peer.visits[0].lost)
        sent = await h2_client.send(client, 3)

    assert len(sent.answers) == 3
    assert len(peer.visits) == 2


async def test_a_farewell_of_tls_loses_what_was_open_and_sends_the_rest_elsewhere():
    def leave_once(asked: Asked) -> None:
        if len(asked.visit.peer.visits) > 1 or asked.path == "/0":
            asked.answer(200)
        else:
            asked.visit.transport.close()

    peer = Peer(
        on_request=leave_once, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    )
    async with talking_to(peer, max_connections=1) as client:
        sent = await h2_client.send(client, 4)

    assert sent.statuses == {0: 200, 2: 200, 3: 200}
    assert "closed by the peer" in sent.fault.reason


async def test_a_peer_of_tls_1_2_is_spoken_to():
    context = tls.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    async with h2_peer.serve(Peer(), context) as peer:
        client = Client(peer.url, tls=tls.client_context())
        sent = await h2_client.send(client, 2)
        await client.close()

    assert len(sent.answers) == 2


async def test_a_peer_at_an_ipv6_address_is_spoken_to():
    async with h2_peer.serve(Peer(), host="::1") as peer:
        client = Client(f"https://[::1]:{peer.port}", tls=tls.client_context())
        sent = await h2_client.send(client, 1)
        await client.close()

    assert sent.statuses == {0: 200}
    assert dict(peer.asked[0].headers)[":authority"] == f"[::1]:{peer.port}"


async def test_a_certificate_that_expires_ends_no_connection_and_begins_none():
    context = tls.server_context()
    expired = tls.authority().issue_expired("expired.test")

    async with h2_peer.serve(Peer(), context) as peer:
        client = Client(peer.url, tls=tls.client_context())
        before = await h2_client.send(client, 1)
        context.load_cert_chain(expired.certificate, expired.key)
        kept = await h2_client.send(client, 1)
        peer.visits[0].transport.close()
        await eventually(lambda: peer.visits[0].lost)
        refused = await h2_client.send(client, 1)
        await client.close()

    assert before.statuses == kept.statuses == {0: 200}
    assert refused.answers == {}
    assert "expired" in refused.fault.reason
    assert refused.fault.retry_after_s > 0
