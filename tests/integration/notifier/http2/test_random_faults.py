"""All faults at random and at once: no request is processed twice."""

import asyncio
import random
from collections import Counter

import pytest
from jh2.errors import ErrorCodes
from jh2.hyperframe.frame import GoAwayFrame
from jh2.settings import SettingCodes

from tests.support import h2_client
from tests.support.h2_client import Sent, talking_to
from tests.support.h2_peer import Peer, PeerConnection, PeerRequest

SENDS = 6
REQUESTS = 60


class RandomPeer:
    """Answers, resets, delays or disconnects at random; counts processed bodies."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.processed = Counter[bytes]()
        # By connection: the highest stream processed, and whether GOAWAY was sent.
        self.highest: dict[PeerConnection, int] = {}
        self.leaving: set[PeerConnection] = set()

    def __call__(self, request: PeerRequest) -> None:
        if request.connection.transport.is_closing():
            return
        last = self.highest.get(request.connection, 0)
        if request.connection in self.leaving and request.stream_id > last:
            # Announced as not processed.
            return
        # No faults at first, because a peer that never answered causes a backoff.
        chance = self.random.random() if self.processed.total() > 20 else 1.0
        if chance < 0.05:
            request.reset(ErrorCodes.REFUSED_STREAM)
            return
        self.processed[request.body] += 1
        self.highest[request.connection] = max(last, request.stream_id)
        if chance < 0.08:
            request.reset()
        elif chance < 0.12:
            self._change(request.connection)
            self._answer(request)
        elif chance < 0.13:
            self._go_away(request.connection)
            self._answer(request)
        elif chance < 0.135:
            request.connection.cut()
        elif chance < 0.5:
            loop = asyncio.get_running_loop()
            loop.call_later(self.random.random() * 0.03, self._answer, request)
        else:
            self._answer(request)

    def _answer(self, request: PeerRequest) -> None:
        if not request.connection.transport.is_closing():
            status = self.random.choice([200, 410])
            request.answer(status, body=request.body)

    def _change(self, connection: PeerConnection) -> None:
        connection.change(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: self.random.randint(1, 50),
                SettingCodes.INITIAL_WINDOW_SIZE: self.random.randint(1, 1000),
                SettingCodes.HEADER_TABLE_SIZE: self.random.choice([0, 100, 4096]),
            }
        )

    def _go_away(self, connection: PeerConnection) -> None:
        self.leaving.add(connection)
        connection.raw(
            GoAwayFrame(0, last_stream_id=self.highest[connection]).serialize()
        )


async def _send(client: h2_client.Client, number: int) -> Sent:
    """Send bodies that all differ, so that each response identifies its request."""
    sent = Sent()
    requests = [
        h2_client.Request(b"%d-%d" % (number, i) * 5, b"/") for i in range(REQUESTS)
    ]
    head = h2_client.Head(headers=(("number", str(number)),))
    try:
        await client.send(head, requests, sent.take)
    except h2_client.ChannelDown as fault:
        sent.fault = fault
    for index, response in sent.answers.items():
        assert response.body == requests[index].body
    return sent


@pytest.mark.parametrize("seed", range(12))
async def test_every_request_ends_and_is_processed_at_most_once(seed):
    reaction = RandomPeer(seed)
    peer = Peer(on_request=reaction)

    async with talking_to(peer, max_connections=3, request_timeout_s=2) as client:
        all_sent = await asyncio.gather(*(_send(client, n) for n in range(SENDS)))

    assert set(reaction.processed.values()) <= {1}
    for sent in all_sent:
        assert (sent.fault is None) == (len(sent.answers) == REQUESTS)
    answered = sum(len(sent.answers) for sent in all_sent)
    assert 0 < answered <= reaction.processed.total()
