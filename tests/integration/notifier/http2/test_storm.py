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
from tests.support.h2_peer import Asked, Peer, Visit

SENDS = 6
REQUESTS = 60


class Weather:
    """A peer's moods; it notes which bodies it acted upon."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acted = Counter[bytes]()
        # By visit: the highest stream it acted upon, and whether it said goodbye.
        self.highest: dict[Visit, int] = {}
        self.left: set[Visit] = set()

    def __call__(self, asked: Asked) -> None:
        if asked.visit.transport.is_closing():
            return
        last = self.highest.get(asked.visit, 0)
        if asked.visit in self.left and asked.stream_id > last:
            # Announced as not processed.
            return
        # Calm at first: a peer that never answered is left alone.
        mood = self.random.random() if self.acted.total() > 20 else 1.0
        if mood < 0.05:
            asked.reset(ErrorCodes.REFUSED_STREAM)
            return
        self.acted[asked.body] += 1
        self.highest[asked.visit] = max(last, asked.stream_id)
        if mood < 0.08:
            asked.reset()
        elif mood < 0.12:
            self._change(asked.visit)
            self._answer(asked)
        elif mood < 0.13:
            self._leave(asked.visit)
            self._answer(asked)
        elif mood < 0.135:
            asked.visit.cut()
        elif mood < 0.5:
            loop = asyncio.get_running_loop()
            loop.call_later(self.random.random() * 0.03, self._answer, asked)
        else:
            self._answer(asked)

    def _answer(self, asked: Asked) -> None:
        if not asked.visit.transport.is_closing():
            status = self.random.choice([200, 410])
            asked.answer(status, body=asked.body)

    def _change(self, visit: Visit) -> None:
        visit.change(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: self.random.randint(1, 50),
                SettingCodes.INITIAL_WINDOW_SIZE: self.random.randint(1, 1000),
                SettingCodes.HEADER_TABLE_SIZE: self.random.choice([0, 100, 4096]),
            }
        )

    def _leave(self, visit: Visit) -> None:
        self.left.add(visit)
        visit.raw(GoAwayFrame(0, last_stream_id=self.highest[visit]).serialize())


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
