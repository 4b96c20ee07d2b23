"""Peers that end connections early or in anger are not dialled at full speed."""

import asyncio
import time

import pytest
from jh2.errors import ErrorCodes
from jh2.hyperframe.frame import GoAwayFrame, SettingsFrame
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


@pytest.mark.parametrize("code", [ErrorCodes.NO_ERROR, ErrorCodes.ENHANCE_YOUR_CALM])
@pytest.mark.parametrize("one_stream", [False, True])
async def test_a_peer_that_sends_goaway_at_once_causes_a_pause(one_stream, code):
    greeting = SettingsFrame(0).serialize() + GoAwayFrame(0, 0, code).serialize()
    peer = Peer(greeting=greeting, deaf=True)

    async with talking_to(peer, one_stream_until_answer=one_stream) as client:
        sent = await h2_client.send(client, 50)

    assert sent.answers == {}
    assert sent.fault.retry_after_s > 0
    assert len(peer.connections) == 1


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_peer_that_refuses_and_goes_away_is_dialled_slowly(status):
    def refuse_and_go_away(request: PeerRequest) -> None:
        request.connection.raw(GoAwayFrame(0, request.stream_id).serialize())
        request.answer(status)

    peer = Peer(on_request=refuse_and_go_away, settings=ONE)
    async with talking_to(peer, max_connections=2) as client:
        began = time.monotonic()
        sending = asyncio.create_task(h2_client.send(client, 200))
        await eventually(lambda: len(peer.connections) >= 5)

        # After the burst there is one connection a second.
        assert len(peer.requests) <= 5 + (time.monotonic() - began)
        sending.cancel()
        await asyncio.wait([sending])


@pytest.mark.parametrize("code", [None, ErrorCodes.INTERNAL_ERROR])
async def test_a_peer_that_answers_once_and_breaks_off_causes_a_pause(code):
    def answer_and_break(request: PeerRequest) -> None:
        request.answer(200)
        if code is not None:
            request.connection.raw(GoAwayFrame(0, 1, code).serialize())
        request.connection.cut()

    peer = Peer(on_request=answer_and_break)
    async with talking_to(peer) as client:
        began = time.monotonic()
        sent = await h2_client.send(client, 200)
        while sent.fault.retry_after_s is None and time.monotonic() < began + 30:
            sent = await h2_client.send(client, 200)

    assert sent.fault.retry_after_s > 0
    assert len(peer.connections) <= 3
