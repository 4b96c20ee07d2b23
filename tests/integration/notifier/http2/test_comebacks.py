"""Peers that end connections in good order, again and again."""

import asyncio
import time

from jh2.hyperframe.frame import GoAwayFrame
from jh2.settings import SettingCodes

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually

ONE = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}


async def test_a_peer_that_takes_requests_and_says_goodbye_is_left_alone():
    def leave(request: PeerRequest) -> None:
        request.connection.raw(GoAwayFrame(0, last_stream_id=2**31 - 1).serialize())

    peer = Peer(on_request=leave, settings=ONE)
    async with talking_to(peer, request_timeout_s=2) as client:
        sent = await h2_client.send(client, 50)

    assert sent.answers == {}
    assert len(peer.connections) <= 3


async def test_a_peer_that_serves_one_request_a_connection_sees_no_storm():
    def answer_and_leave(request: PeerRequest) -> None:
        request.answer(200)
        request.connection.raw(GoAwayFrame(0, request.stream_id).serialize())

    peer = Peer(on_request=answer_and_leave, settings=ONE)
    async with talking_to(peer, max_connections=2) as client:
        began = time.monotonic()
        sending = asyncio.create_task(h2_client.send(client, 200))
        await eventually(lambda: len(peer.connections) >= 5)

        # After the first few it is one a second.
        assert len(peer.requests) <= 5 + (time.monotonic() - began)
    sent = await sending

    assert 4 <= len(sent.answers) <= 6 + (time.monotonic() - began)
