"""A client connects only to the addresses that its resolver returns."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest
import uvloop

from notifier.http2 import Client, Head, Request
from notifier.outcome import ChannelDown
from tests.support import h2_peer, tls
from tests.support.h2_peer import Peer

HEAD = Head((("x-test", "1"),), "/")


def _client(peer: Peer, host: str, *addresses: str) -> Client:
    async def resolve(name: str, port: int) -> Sequence[str]:
        assert (name, port) == (host, peer.port)
        return addresses

    url = f"https://{host}:{peer.port}"
    return Client(url, tls=tls.client_context(), resolve=resolve)


async def test_the_connection_goes_to_the_address_and_not_to_the_name() -> None:
    async with h2_peer.serve(Peer()) as peer:
        client = _client(peer, "server.test", "127.0.0.1")

        response = await client.fetch(HEAD, Request(b"x"))

        assert response.status == 200
        authority = dict(peer.requests[0].headers)[":authority"]
        assert authority == f"server.test:{peer.port}"
        await client.close()


async def test_an_address_that_refuses_is_skipped() -> None:
    async with h2_peer.serve(Peer()) as peer:
        client = _client(peer, "server.test", "127.0.0.2", "::1", "127.0.0.1")

        assert (await client.fetch(HEAD, Request(b"x"))).status == 200
        await client.close()


class TwoAddresses(uvloop.Loop):
    """An event loop that resolves every name to a silent address and a live one."""

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        stream = socket.SOCK_STREAM
        return [
            (socket.AF_INET, stream, 6, "", (address, port))
            for address in ("127.0.0.3", "127.0.0.1")
        ]


def test_a_silent_address_is_skipped_on_uvloop_too() -> None:
    async def talk() -> int:
        async with h2_peer.serve(Peer()) as peer:
            loop = asyncio.get_running_loop()
            # It accepts the connection and sends nothing.
            silent = await loop.create_server(asyncio.Protocol, "127.0.0.3", peer.port)
            url = f"https://localhost:{peer.port}"
            client = Client(url, tls=tls.client_context(), connect_timeout_s=5)
            response = await client.fetch(HEAD, Request(b"x"))
            await client.close()
            silent.close()
            return response.status

    with asyncio.Runner(loop_factory=TwoAddresses) as runner:
        assert runner.run(talk()) == 200


async def test_the_certificate_must_match_the_name() -> None:
    async with h2_peer.serve(Peer()) as peer:
        client = _client(peer, "other.test", "127.0.0.1")

        with pytest.raises(ChannelDown, match="certificate"):
            await client.fetch(HEAD, Request(b"x"))

        assert peer.requests == []
        await client.close()


async def test_a_name_that_the_resolver_refuses_is_an_outage() -> None:
    async def refuse(name: str, port: int) -> Sequence[str]:
        raise ConnectionRefusedError("not allowed here")

    async with h2_peer.serve(Peer()) as peer:
        client = Client(peer.url, tls=tls.client_context(), resolve=refuse)

        with pytest.raises(ChannelDown, match="not allowed"):
            await client.fetch(HEAD, Request(b"x"))

        assert peer.connections == []
        await client.close()
