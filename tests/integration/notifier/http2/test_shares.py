"""Peers that limit the requests of a connection do not slow the requests down."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest
from jh2.hyperframe.frame import GoAwayFrame
from jh2.settings import SettingCodes

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerConnection, PeerRequest
from tests.support.wait import eventually

STREAMS = SettingCodes.MAX_CONCURRENT_STREAMS
# At one dial a second after the first sixteen, these would take 44 seconds.
CONNECTIONS = 60
SOON_S = 40


class Proxy:
    """Serves a number of requests on each connection, and then ends it."""

    def __init__(self, limit: int, end: Callable[[PeerConnection, int], None]) -> None:
        self.limit = limit
        self.processed = Counter[str]()
        self.served = Counter[PeerConnection]()
        self._end = end

    def __call__(self, request: PeerRequest) -> None:
        connection = request.connection
        self.served[connection] += 1
        if self.served[connection] > self.limit or connection.transport.is_closing():
            return
        self.processed[request.path] += 1
        last = self.served[connection] == self.limit
        if last and self._end is not _close:
            self._end(connection, request.stream_id)
        request.answer(200)
        if last and self._end is _close:
            _close(connection, request.stream_id)


def _announce(connection: PeerConnection, last: int) -> None:
    connection.raw(GoAwayFrame(0, last_stream_id=last).serialize())


def _announce_twice(connection: PeerConnection, last: int) -> None:
    """RFC 9113 §6.8: first a GOAWAY with the highest id, then the real one."""
    _announce(connection, 2**31 - 1)
    _announce(connection, last)


def _close(connection: PeerConnection, last: int) -> None:
    """It sends close_notify and FIN, without a GOAWAY."""
    connection.transport.close()


@pytest.mark.parametrize("one_stream", [False, True])
@pytest.mark.parametrize("streams", [1, 50])
@pytest.mark.parametrize("limit", [1, 3, 10])
@pytest.mark.parametrize("end", [_announce, _announce_twice])
async def test_goaway_after_some_requests_delays_and_doubles_nothing(
    end, limit, streams, one_stream
):
    proxy = Proxy(limit, end)
    peer = Peer(on_request=proxy, settings={STREAMS: streams})
    count = CONNECTIONS * limit

    async with talking_to(peer, one_stream_until_answer=one_stream) as client:
        began = time.monotonic()
        sent = await h2_client.send(client, count)
        took_s = time.monotonic() - began

    assert sent.fault is None
    assert sent.statuses == dict.fromkeys(range(count), 200)
    assert set(proxy.processed.values()) == {1}
    assert took_s < SOON_S


@pytest.mark.parametrize("one_stream", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_a_close_without_goaway_after_some_requests_delays_few(limit, one_stream):
    proxy = Proxy(limit, _close)
    peer = Peer(on_request=proxy, settings={STREAMS: 50})
    left = CONNECTIONS * limit
    faults = 0

    async with talking_to(peer, one_stream_until_answer=one_stream) as client:
        began = time.monotonic()
        while left:
            sent = await h2_client.send(client, left)
            left -= len(sent.answers)
            if sent.fault is not None:
                faults += 1
                await asyncio.sleep(sent.fault.retry_after_s or 0)
        took_s = time.monotonic() - began

    # The requests that were open when the first connections ended are lost, not more.
    assert faults <= 6
    assert took_s < SOON_S


async def test_late_answers_behind_goaway_delay_no_other_request():
    held: list[PeerRequest] = []

    def hold(request: PeerRequest) -> None:
        if request.stream_id > 19:
            return
        held.append(request)
        asyncio.get_running_loop().call_later(0.05, request.answer)
        if request.stream_id == 19:
            _announce(request.connection, 19)

    peer = Peer(on_request=hold)
    async with talking_to(peer) as client:
        began = time.monotonic()
        sent = await h2_client.send(client, 10 * CONNECTIONS)
        took_s = time.monotonic() - began

    assert sent.fault is None
    assert len(sent.answers) == len(held) == 10 * CONNECTIONS
    assert took_s < SOON_S


async def test_the_successor_is_there_before_the_end():
    proxy = Proxy(8, _announce)
    peer = Peer(settings={STREAMS: 1})
    waiting: list[asyncio.Task[None]] = []

    def react(request: PeerRequest) -> None:
        connection = request.connection
        is_last = proxy.served[connection] == proxy.limit - 1
        if is_last and len(peer.connections) > 2:
            waiting.append(asyncio.create_task(successor(request)))
        else:
            proxy(request)

    async def successor(request: PeerRequest) -> None:
        await eventually(lambda: peer.connections[-1] is not request.connection)
        proxy(request)

    peer.on_request = react
    async with talking_to(peer) as client:
        for _ in range(8 * 10):
            sent = await h2_client.send(client, 1)
            assert sent.statuses == {0: 200}

    # The first two connections showed that there is a limit.
    assert len(waiting) >= 7


@pytest.mark.parametrize("end", [_announce, _announce_twice, _close])
async def test_an_end_while_idle_delays_nothing(end):
    peer = Peer()

    async with talking_to(peer) as client:
        began = time.monotonic()
        for _ in range(CONNECTIONS):
            sent = await h2_client.send(client, 3)
            assert len(sent.answers) == 3
            for connection in peer.connections:
                if not connection.lost:
                    end(connection, connection.h2.highest_inbound_stream_id)
            await eventually(lambda: not client._pool.connections)
        took_s = time.monotonic() - began

    assert took_s < SOON_S


async def test_a_limit_that_is_over_is_forgotten():
    proxy = Proxy(5, _announce)
    peer = Peer(on_request=proxy)

    async with talking_to(peer) as client:
        await h2_client.send(client, 50)
        proxy.limit = 10_000
        earlier = len(peer.connections)
        sent = await h2_client.send(client, 2000)

    assert len(sent.answers) == 2000
    # As many as a client may have, and not one for every five requests.
    assert len(peer.connections) - earlier <= 8
