"""A client of the misbehaving peer, and the results of its requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from notifier.http2 import Client, Head, Request, Response
from notifier.outcome import ChannelDown
from tests.support import h2_peer, tls
from tests.support.h2_peer import Peer

HEAD = Head(headers=(("apns-topic", "com.example.chat"), ("apns-priority", "10")))


@dataclass
class Sent:
    """The answers of one send(), by index, and how it ended."""

    answers: dict[int, Response] = field(default_factory=dict)
    fault: ChannelDown | None = None

    def take(self, index: int, response: Response) -> None:
        assert index not in self.answers, "answered twice"
        self.answers[index] = response

    @property
    def statuses(self) -> dict[int, int]:
        return {i: response.status for i, response in sorted(self.answers.items())}


def requests(count: int, body: bytes = b"hello") -> list[Request]:
    return [Request(body, b"/%d" % i) for i in range(count)]


async def send(client: Client, count: int, body: bytes = b"hello") -> Sent:
    """Send `count` requests with paths /0, /1, …; a ChannelDown is kept, not raised."""
    sent = Sent()
    try:
        await client.send(HEAD, requests(count, body), sent.take)
    except ChannelDown as fault:
        sent.fault = fault
    return sent


@asynccontextmanager
async def talking_to(peer: Peer, **options: Any) -> AsyncIterator[Client]:
    """A client of the peer, which runs as long as the context."""
    async with h2_peer.serve(peer):
        client = Client(peer.url, tls=tls.client_context(), **options)
        try:
            yield client
        finally:
            await client.close()
