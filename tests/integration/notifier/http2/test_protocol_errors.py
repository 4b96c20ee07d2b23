"""Peers that break the protocol or flood us: the connection ends with GOAWAY."""

import pytest
from jh2 import events
from jh2.errors import ErrorCodes
from jh2.hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff" * 64,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        DataFrame(2, b"even stream").serialize(),
        DataFrame(99, b"idle stream").serialize(),
        HeadersFrame(99, b"\x88", flags=["END_HEADERS"]).serialize(),
        RstStreamFrame(99, 1).serialize(),
        WindowUpdateFrame(99, 1).serialize(),
        WindowUpdateFrame(0, 1).serialize()[:-4] + bytes(4),
        ContinuationFrame(1, b"\x88").serialize(),
        HeadersFrame(1, b"\x88").serialize() + PingFrame(0, b"12345678").serialize(),
        HeadersFrame(1, b"\xff\xff", flags=["END_HEADERS"]).serialize(),
        PushPromiseFrame(1, 2, b"\x88", flags=["END_HEADERS"]).serialize(),
        b"\0\0\x07\x06\0\0\0\0\x00" + bytes(7),
        b"\0\0\x05\x04\0\0\0\0\x00" + bytes(5),
        b"\0\0\x06\x04\x01\0\0\0\x00" + bytes(6),
        b"\0\0\x04\x07\0\0\0\0\x00" + bytes(4),
        b"\0\x40\x01\0\0\0\0\0\x01" + bytes(16_385),
        b"\0\0\x06\x04\x00\0\0\0\x01" + bytes(6),
        b"\0\0\x01\x00\x00\0\0\0\x00" + bytes(1),
    ],
)
async def test_a_protocol_error_is_answered_with_goaway(frame):
    peer = Peer(on_request=lambda request: request.connection.raw(frame))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1)
        await eventually(lambda: peer.connections[0].lost)

    assert sent.answers == {}
    assert "protocol broken" in sent.fault.reason
    ends = peer.connections[0].seen(events.ConnectionTerminated)
    assert [end.error_code != 0 for end in ends] == [True]


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        PingFrame(0, b"12345678").serialize(),
        SettingsFrame(0, flags=["ACK"]).serialize(),
        b"\0" * 200,
    ],
)
async def test_a_peer_that_does_not_begin_with_settings_gets_no_request(greeting):
    peer = Peer(greeting=greeting, deaf=True)

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 2)

    assert sent.answers == {}
    assert sent.fault.retry_after_s > 0


@pytest.mark.parametrize(
    "flood",
    [
        lambda: PingFrame(0, b"12345678").serialize() * 5000,
        lambda: SettingsFrame(0).serialize() * 5000,
        lambda: (
            HeadersFrame(1, b"\x88").serialize()
            + ContinuationFrame(1, b"").serialize() * 100
        ),
        lambda: (
            HeadersFrame(1, b"\x88").serialize()
            + ContinuationFrame(1, b"\0" * 16_000).serialize() * 2
        ),
    ],
    ids=["ping", "settings", "empty continuations", "long continuations"],
)
async def test_a_flood_is_answered_with_enhance_your_calm(flood):
    peer = Peer(on_request=lambda request: request.connection.raw(flood()))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1)
        await eventually(lambda: peer.connections[0].lost)

    end = peer.connections[0].seen(events.ConnectionTerminated)[0]
    assert end.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert sent.answers == {}


async def test_unknown_frames_and_priorities_are_ignored():
    def react(request: PeerRequest) -> None:
        altsvc = b"\0\0\x03\x0a\0\0\0\0\0abc"
        unknown = b"\0\0\x01\xf0\xff\x7f\xff\xff\xff!"
        priority = b"\0\0\x05\x02\0\0\0\0\x01" + bytes(5)
        request.connection.raw(altsvc + unknown + priority)
        request.answer(200)

    async with talking_to(Peer(on_request=react)) as client:
        sent = await h2_client.send(client, 3)

    assert sent.statuses == {0: 200, 1: 200, 2: 200}
