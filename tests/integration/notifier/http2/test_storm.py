"""Everything that can go wrong, at random and together: nothing is done twice."""

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


class Weather:
    """A peer's moods; it notes which bodies it acted upon."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acted = Counter[bytes]()
        # By visit: the highest stream it acted upon, and whether it said goodbye.
        self.highest: dict[PeerConnection, int] = {}
        self.left: set[PeerConnection] = set()

    def __call__(self, request: PeerRequest) -> None:
        if request.connection.transport.is_closing():
            return
        last = self.highest.get(request.connection, 0)
        if request.connection in self.left and request.stream_id > last:
            # Announced as not processed.
            return
        # Calm at first: a peer that never answered is left alone.
        mood = self.random.random() if self.acted.total() > 20 else 1.0
        if mood < 0.05:
            request.reset(ErrorCodes.REFUSED_STREAM)
            return
        self.acted[request.body] += 1
        self.highest[request.connection] = max(last, request.stream_id)
        if mood < 0.08:
            request.reset()
        elif mood < 0.12:
            self._change(request.connection)
            self._answer(request)
        elif mood < 0.13:
            self._leave(request.connection)
            self._answer(request)
        elif mood < 0.135:
            request.connection.cut()
        elif mood < 0.5:
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

    def _leave(self, connection: PeerConnection) -> None:
        self.left.add(connection)
        connection.raw(
            GoAwayFrame(0, last_stream_id=self.highest[connection]).serialize()
        )


async def _send(client: h2_client.Client, number: int) -> Sent:
    """All bodies of all sends are different, so each can be told from the others."""
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
async def test_every_request_is_acted_upon_once_at_most_and_ends(seed):
    weather = Weather(seed)
    peer = Peer(on_request=weather)

    async with talking_to(peer, max_connections=3, request_timeout_s=2) as client:
        all_sent = await asyncio.gather(*(_send(client, n) for n in range(SENDS)))

    assert set(weather.acted.values()) <= {1}
    for sent in all_sent:
        assert (sent.fault is None) == (len(sent.answers) == REQUESTS)
    answered = sum(len(sent.answers) for sent in all_sent)
    assert 0 < answered <= weather.acted.total()
