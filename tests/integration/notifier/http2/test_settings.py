"""The client obeys the peer's settings and windows, also when they change."""

import asyncio

import pytest
from jh2 import events
from jh2.hyperframe.frame import SettingsFrame, WindowUpdateFrame
from jh2.settings import SettingCodes

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually

STREAMS = SettingCodes.MAX_CONCURRENT_STREAMS
WINDOW = SettingCodes.INITIAL_WINDOW_SIZE


class Hold:
    """Keeps requests until the test asks it to answer them."""

    def __init__(self) -> None:
        self.requests: list[PeerRequest] = []
        self.most = 0

    def __call__(self, request: PeerRequest) -> None:
        self.requests.append(request)
        self.most = max(self.most, len(self.requests))

    def answer_all(self) -> None:
        held, self.requests = self.requests, []
        for request in held:
            request.answer(200)

    async def answer_until(self, sending: "asyncio.Task[h2_client.Sent]") -> None:
        while not sending.done():
            await asyncio.sleep(0.01)
            self.answer_all()


@pytest.mark.parametrize("limit", [1, 7])
async def test_no_more_streams_are_open_than_the_peer_allows(limit):
    hold = Hold()
    peer = Peer(on_request=hold, settings={STREAMS: limit})

    async with talking_to(peer, max_connections=1) as client:
        sending = asyncio.create_task(h2_client.send(client, 5 * limit))
        await hold.answer_until(sending)

    assert len(sending.result().answers) == 5 * limit
    assert hold.most == limit


async def test_requests_wait_while_the_peer_allows_no_stream():
    peer = Peer(settings={STREAMS: 0})

    async with talking_to(peer) as client:
        sending = asyncio.create_task(h2_client.send(client, 20))
        await eventually(
            lambda: (
                peer.connections
                and peer.connections[0].seen(events.RemoteSettingsChanged)
            )
        )
        requests_before = list(peer.requests)
        peer.connections[0].change({STREAMS: 3})
        sent = await sending

    assert requests_before == []
    assert len(sent.answers) == 20
    assert len(peer.connections) == 1


async def test_requests_fail_if_the_peer_never_allows_a_stream():
    peer = Peer(settings={STREAMS: 0})

    async with talking_to(peer, request_timeout_s=0.3) as client:
        sent = await h2_client.send(client, 3)

    assert sent.answers == {}
    assert "nothing could be sent" in str(sent.fault)


async def test_a_lower_limit_applies_to_streams_opened_after_it():
    hold = Hold()
    peer = Peer(on_request=hold, settings={STREAMS: 50})

    async with talking_to(peer, max_connections=1) as client:
        sending = asyncio.create_task(h2_client.send(client, 100))
        await eventually(lambda: len(hold.requests) == 50)
        peer.connections[0].change({STREAMS: 2})
        await eventually(lambda: peer.connections[0].seen(events.SettingsAcknowledged))
        hold.answer_all()
        hold.most = 0
        await hold.answer_until(sending)

    assert len(sending.result().answers) == 100
    assert hold.most <= 2


@pytest.mark.parametrize(("window", "size"), [(1, 60), (100, 512), (65_535, 512)])
async def test_bodies_pass_through_windows_of_any_size(window, size):
    peer = Peer(settings={WINDOW: window})
    body = (bytes(range(256)) * 2)[:size]

    async with talking_to(peer, max_connections=1) as client:
        sent = await h2_client.send(client, 20, body)

    assert len(sent.answers) == 20
    assert all(request.body == body for request in peer.requests)


async def test_bodies_wait_for_the_connections_window():
    peer = Peer()

    async with talking_to(peer, max_connections=1) as client:
        sent = await h2_client.send(client, 300, b"x" * 4096)

    assert len(sent.answers) == 300
    assert {len(request.body) for request in peer.requests} == {4096}


async def test_a_body_larger_than_window_and_frame_arrives_whole():
    peer = Peer()
    body = bytes(range(256)) * 1000

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 2, body)

    assert sent.statuses == {0: 200, 1: 200}
    assert all(request.body == body for request in peer.requests)


async def test_a_body_waits_while_its_window_is_below_zero():
    peer = Peer(widens=False, settings={WINDOW: 1000})

    async with talking_to(peer) as client:
        sending = asyncio.create_task(h2_client.send(client, 1, b"x" * 3000))
        await eventually(
            lambda: peer.connections and peer.connections[0].seen(events.DataReceived)
        )
        connection = peer.connections[0]
        # 1,000 bytes are sent, so the window is now 500 below zero.
        connection.change({WINDOW: 500})
        await eventually(lambda: connection.seen(events.SettingsAcknowledged))
        connection.h2.increment_flow_control_window(500, 1)
        connection.change({})
        await eventually(lambda: len(connection.seen(events.SettingsAcknowledged)) >= 2)
        received_at_zero = len(connection.open[1].body)
        connection.change({WINDOW: 4000})
        sent = await sending

    assert received_at_zero == 1000
    assert sent.statuses == {0: 200}
    assert peer.requests[0].body == b"x" * 3000


async def test_a_wider_window_releases_all_waiting_bodies():
    peer = Peer(settings={WINDOW: 0})

    async with talking_to(peer) as client:
        sending = asyncio.create_task(h2_client.send(client, 30, b"body"))
        await eventually(
            lambda: peer.connections and len(peer.connections[0].open) == 30
        )
        requests_before = list(peer.requests)
        peer.connections[0].change({WINDOW: 1000})
        sent = await sending

    assert requests_before == []
    assert len(sent.answers) == 30


async def test_the_header_table_can_shrink_to_nothing_and_grow_again():
    peer = Peer(settings={STREAMS: 1})

    async with talking_to(peer, max_connections=1) as client:
        await h2_client.send(client, 3)
        for size in (0, 4096, 60):
            peer.connections[0].change({SettingCodes.HEADER_TABLE_SIZE: size})
            sent = await h2_client.send(client, 3)
            assert sent.statuses == {0: 200, 1: 200, 2: 200}

    assert {tuple(a.headers[4:]) for a in peer.requests} == {h2_client.HEAD.headers}


async def test_larger_frames_are_used_when_they_are_allowed():
    size = 100_000
    peer = Peer(settings={SettingCodes.MAX_FRAME_SIZE: size, WINDOW: size})

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1, b"x" * 60_000)

    assert sent.statuses == {0: 200}
    assert len(peer.connections[0].seen(events.DataReceived)[0].data) == 60_000


async def test_headers_longer_than_a_frame_are_continued():
    peer = Peer(settings={SettingCodes.MAX_HEADER_LIST_SIZE: 100_000})
    long = h2_client.Head(headers=(("long", "v" * 40_000),), path="/")

    async with talking_to(peer) as client:
        response = await client.fetch(long, h2_client.Request(b"body"))

    assert response.status == 200
    assert dict(peer.requests[0].headers)["long"] == "v" * 40_000


async def test_settings_and_pings_are_answered_while_requests_are_open():
    hold = Hold()
    peer = Peer(on_request=hold)

    async with talking_to(peer) as client:
        sending = asyncio.create_task(h2_client.send(client, 1))
        await eventually(lambda: hold.requests)
        connection = peer.connections[0]
        connection.h2.ping(b"12345678")
        connection.change({STREAMS: 5})
        await eventually(lambda: len(connection.seen(events.SettingsAcknowledged)) == 2)
        hold.answer_all()
        await sending

    assert [e.ping_data for e in connection.seen(events.PingAckReceived)] == [
        b"12345678"
    ]


@pytest.mark.parametrize(
    "frame",
    [
        SettingsFrame(0, {4: 2**31}),
        SettingsFrame(0, {5: 100}),
        SettingsFrame(0, {2: 1}),
        WindowUpdateFrame(0, 2**31 - 1),
    ],
    ids=["window", "frame size", "push", "window update"],
)
async def test_settings_out_of_range_end_the_connection(frame):
    peer = Peer(on_request=lambda request: request.connection.raw(frame.serialize()))

    async with talking_to(peer) as client:
        sent = await h2_client.send(client, 1)
        await eventually(lambda: peer.connections[0].seen(events.ConnectionTerminated))

    assert sent.answers == {}
    assert "protocol broken" in str(sent.fault)
