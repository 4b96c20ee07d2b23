"""How the connection pool grows, shares connections, and closes."""

import asyncio
import time
from collections import Counter

import pytest
from jh2 import events
from jh2.settings import SettingCodes

from notifier.http2 import Head, Request
from notifier.outcome import ChannelDown
from tests.support import h2_client
from tests.support.h2_client import Sent, requests, talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually

STREAMS = SettingCodes.MAX_CONCURRENT_STREAMS


def _after(delay_s: float):
    def react(request: PeerRequest) -> None:
        asyncio.get_running_loop().call_later(delay_s, request.answer, 200)

    return react


async def test_one_connection_serves_many_sends():
    peer = Peer()

    async with talking_to(peer) as client:
        sends = [h2_client.send(client, 5) for _ in range(40)]
        all_sent = await asyncio.gather(*sends)

    assert [len(sent.answers) for sent in all_sent] == [5] * 40
    assert len(peer.connections) == 1


async def test_more_connections_are_opened_when_streams_are_the_limit():
    peer = Peer(on_request=_after(0.08), settings={STREAMS: 10})

    async with talking_to(peer, max_connections=4) as client:
        sent = await h2_client.send(client, 400)

    assert len(sent.answers) == 400
    assert len(peer.connections) == 4
    # Every connection carries a part of the load.
    parts = Counter(id(request.connection) for request in peer.requests)
    assert min(parts.values()) >= 40


async def test_more_connections_are_opened_when_the_window_is_the_limit():
    # A window of 65,535 bytes that is widened again only with the answer.
    def release(request: PeerRequest) -> None:
        h2 = request.connection.h2
        h2.acknowledge_received_data(len(request.body), request.stream_id)
        request.answer(200)

    def later(request: PeerRequest) -> None:
        asyncio.get_running_loop().call_later(0.08, release, request)

    peer = Peer(on_request=later, widens=False)
    async with talking_to(peer, max_connections=3) as client:
        sent = await h2_client.send(client, 300, b"x" * 4096)

    assert len(sent.answers) == 300
    assert len(peer.connections) == 3


async def test_a_small_batch_does_not_wait_behind_a_large_one():
    peer = Peer(settings={STREAMS: 8})
    order: list[str] = []

    async def noted(name: str, count: int) -> None:
        await h2_client.send(client, count)
        order.append(name)

    async with talking_to(peer, max_connections=1) as client:
        await asyncio.gather(noted("large", 3000), noted("small", 5))

    assert order == ["small", "large"]
    assert len(peer.requests) == 3005


async def test_a_token_connection_has_one_stream_until_the_first_answer():
    open_at_once: list[int] = []
    held: list[PeerRequest] = []

    def hold(request: PeerRequest) -> None:
        held.append(request)
        if len(peer.requests) == 1:
            asyncio.get_running_loop().call_later(0.1, answer_all)

    def answer_all() -> None:
        open_at_once.append(len(held))
        peer.on_request = PeerRequest.answer
        for request in held:
            request.answer(200)

    peer = Peer(on_request=hold)
    async with talking_to(peer, one_stream_until_answer=True) as client:
        sent = await h2_client.send(client, 50)

    assert len(sent.answers) == 50
    assert open_at_once == [1]


async def test_a_new_connection_is_opened_when_stream_ids_run_out():
    peer = Peer()

    async with talking_to(peer) as client:
        await h2_client.send(client, 1)
        client._pool.connections[0].sender.next_id = 2**31 - 21
        sent = await h2_client.send(client, 50)
        await eventually(lambda: peer.connections[0].lost)

    assert len(sent.answers) == 50
    assert sent.fault is None
    assert [len(v.seen(events.RequestReceived)) for v in peer.connections] == [12, 39]


async def test_an_idle_connection_the_peer_has_closed_is_replaced():
    peer = Peer()

    async with talking_to(peer) as client:
        await h2_client.send(client, 1)
        peer.connections[0].goaway(last=1)
        await eventually(lambda: peer.connections[0].lost)
        sent = await h2_client.send(client, 1)

    assert sent.statuses == {0: 200}
    assert len(peer.connections) == 2


async def test_a_cancelled_send_takes_no_more_streams():
    peer = Peer(on_request=_after(0.02), settings={STREAMS: 1})
    sent = Sent()

    async with talking_to(peer, max_connections=1) as client:
        sending = asyncio.create_task(
            client.send(h2_client.HEAD, requests(100), sent.take)
        )
        await eventually(lambda: len(sent.answers) == 3)
        sending.cancel()
        await asyncio.wait([sending])
        answered = len(sent.answers)
        other = await h2_client.send(client, 2)

    assert sending.cancelled()
    assert other.statuses == {0: 200, 1: 200}
    assert len(sent.answers) == answered
    assert len(peer.requests) <= answered + 3


async def test_an_error_in_the_callers_callback_is_raised_to_that_caller_only():
    async def mistaken() -> None:
        await client.send(h2_client.HEAD, requests(20), lambda _, __: 1 / 0)

    async with talking_to(Peer()) as client:
        other, mistake = await asyncio.gather(
            h2_client.send(client, 20), mistaken(), return_exceptions=True
        )

    assert isinstance(mistake, ZeroDivisionError)
    assert len(other.answers) == 20


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (Head(headers=()), Request(b"")),
        (Head(headers=(("Upper", "x"),)), Request(b"", b"/")),
        (Head(headers=(("topic", "a\r\nb"),)), Request(b"", b"/")),
    ],
)
async def test_an_invalid_request_is_refused_before_it_is_sent(head, request_):
    peer = Peer()

    async with talking_to(peer) as client:
        with pytest.raises(ValueError, match=r"path|field"):
            await client.fetch(head, request_)

    assert peer.connections == []


async def test_closing_waits_for_open_requests_and_sends_goaway():
    peer = Peer(on_request=_after(0.1), settings={STREAMS: 2})

    async with talking_to(peer, max_connections=1) as client:
        sending = asyncio.create_task(h2_client.send(client, 10))
        await eventually(lambda: len(peer.requests) == 2)
        await client.close()
        sent = await sending
        with pytest.raises(ChannelDown, match="closed"):
            await client.fetch(h2_client.HEAD, Request(b"", b"/"))
        await eventually(lambda: peer.connections[0].lost)

    assert sorted(sent.answers) == [0, 1]
    assert "closed" in sent.fault.reason
    assert peer.connections[0].seen(events.ConnectionTerminated)[0].error_code == 0


async def test_closing_does_not_wait_for_a_peer_that_hangs():
    peer = Peer(on_request=lambda request: None)

    async with talking_to(peer) as client:
        sending = asyncio.create_task(h2_client.send(client, 1))
        await eventually(lambda: peer.requests)
        began = time.monotonic()
        await client.close()
        took_s = time.monotonic() - began
        sent = await sending

    assert sent.answers == {}
    # Sooner than the request's own deadline.
    assert took_s < 10
