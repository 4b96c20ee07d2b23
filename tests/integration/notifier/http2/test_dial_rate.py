"""Peers that shut down every connection gracefully are not dialled at full speed."""

import asyncio
import time

from jh2.hyperframe.frame import GoAwayFrame
from jh2.settings import SettingCodes

from tests.support import h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.wait import eventually

ONE = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}


async def test_a_peer_that_always_sends_goaway_instead_of_answers_is_not_redialled():
    def go_away(request: PeerRequest) -> None:
        request.connection.raw(GoAwayFrame(0, last_stream_id=2**31 - 1).serialize())

    peer = Peer(on_request=go_away, settings=ONE)
    async with talking_to(peer, request_timeout_s=2) as client:
        sent = await h2_client.send(client, 50)

    assert sent.answers == {}
    assert len(peer.connections) <= 3


async def test_a_peer_that_serves_one_request_per_connection_is_dialled_slowly():
    def answer_and_go_away(request: PeerRequest) -> None:
        request.answer(200)
        request.connection.raw(GoAwayFrame(0, request.stream_id).serialize())

    peer = Peer(on_request=answer_and_go_away, settings=ONE)
    async with talking_to(peer, max_connections=2) as client:
        began = time.monotonic()
        sending = asyncio.create_task(h2_client.send(client, 200))
        await eventually(lambda: len(peer.connections) >= 5)

        # After the burst there is one connection a second.
        assert len(peer.requests) <= 5 + (time.monotonic() - began)
    sent = await sending

    assert 4 <= len(sent.answers) <= 6 + (time.monotonic() - began)
