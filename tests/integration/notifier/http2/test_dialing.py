"""Opening connections: TLS, certificates, proxies, and unreachable peers."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from notifier.http2 import Client, backoff
from notifier.outcome import ChannelDown
from tests.support import connect_proxy, h2_client, h2_peer, tls
from tests.support.connect_proxy import Proxy
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer
from tests.support.server import free_port


async def _refusal(url: str, context: ssl.SSLContext, **options: object) -> ChannelDown:
    client = Client(url, tls=context, **options)
    try:
        sent = await h2_client.send(client, 2)
    finally:
        await client.close()
    assert sent.answers == {}
    assert sent.fault.retry_after_s > 0
    return sent.fault


async def test_a_certificate_of_an_unknown_authority_is_refused():
    async with h2_peer.serve(Peer()) as peer:
        fault = await _refusal(peer.url, ssl.create_default_context())

    assert "certificate verify failed" in fault.reason
    assert peer.requests == []


async def test_a_certificate_of_another_host_is_refused():
    async with h2_peer.serve(Peer()) as peer:
        url = f"https://127.0.0.2:{peer.port}"
        server = await asyncio.get_running_loop().create_server(
            lambda: h2_peer.PeerConnection(peer), "127.0.0.2", peer.port,
            ssl=tls.server_context(),
        )  # fmt: skip
        fault = await _refusal(url, tls.client_context())
        server.close()

    assert "127.0.0.2" in fault.reason


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
async def test_a_server_without_http2_is_refused(alpn):
    async with h2_peer.serve(Peer(), tls.server_context(alpn=alpn)) as peer:
        fault = await _refusal(peer.url, tls.client_context())

    assert "HTTP/2" in fault.reason
    assert peer.requests == []


async def test_a_server_without_tls_is_refused():
    async with _tcp_server(b"220 hello\r\n") as port:
        fault = await _refusal(f"https://localhost:{port}", tls.client_context())

    assert "SSL" in fault.reason


@asynccontextmanager
async def _tcp_server(greeting: bytes) -> AsyncIterator[int]:
    """The port of a server that sends a greeting and nothing more."""
    # Python 3.13 closes a connection that is not referenced.
    held: list[asyncio.StreamWriter] = []

    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        writer.write(greeting)

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in held:
        writer.transport.abort()
    await asyncio.sleep(0)


async def test_a_client_certificate_is_sent():
    server = tls.server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(tls.authority().ca_file)
    ours = tls.client_context()
    identity = tls.authority().issue_for_client("push-certificate")
    ours.load_cert_chain(identity.certificate, identity.key)

    async with h2_peer.serve(Peer(), server) as peer:
        client = Client(peer.url, tls=ours)
        sent = await h2_client.send(client, 1)
        shown = peer.connections[0].transport.get_extra_info("peercert")
        await client.close()

    assert sent.statuses == {0: 200}
    assert shown["subject"][0][0] == ("userId", "push-certificate")


async def test_a_missing_client_certificate_is_the_reason():
    server = tls.server_context()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(tls.authority().ca_file)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://localhost:{listener.getsockname()[1]}"
        # Servers of asyncio drop the alert with the reason; a blocking one sends it.
        handshake = asyncio.create_task(asyncio.to_thread(_handshake, listener, server))
        fault = await _refusal(url, tls.client_context())
        refused = await handshake

    assert refused
    assert "certificate required" in fault.reason.lower()


def _handshake(listener: socket.socket, context: ssl.SSLContext) -> bool:
    """Whether the server refuses its first client."""
    listener.settimeout(60)
    connection, _ = listener.accept()
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except ssl.SSLError:
            return True
    return False


async def test_after_a_failure_sends_fail_at_once_until_the_pause_is_over(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(backoff, "_FIRST_S", 3.0)
    port = free_port()
    client = Client(f"https://localhost:{port}", tls=tls.client_context())
    first = await h2_client.send(client, 1)

    async with h2_peer.serve(Peer(), port=port) as peer:
        second = await h2_client.send(client, 1)
        connections = len(peer.connections)
        await asyncio.sleep(second.fault.retry_after_s)
        third = await h2_client.send(client, 1)
        await client.close()

    assert f"localhost:{port}" in first.fault.reason
    assert 0 < second.fault.retry_after_s <= 3.0
    assert connections == 0
    assert third.statuses == {0: 200}
    assert len(peer.connections) == 1


async def test_a_silent_peer_runs_into_the_connect_timeout():
    async with _tcp_server(b"") as port:
        fault = await _refusal(
            f"https://localhost:{port}", tls.client_context(), connect_timeout_s=0.2
        )

    assert "no connection within 0.2 s" in fault.reason


@pytest.mark.parametrize(
    "url",
    ["http://push.test", "push.test", "https://", "https://push.test/path", ""],
)
def test_an_invalid_origin_is_refused(url):
    with pytest.raises(ValueError, match="not an https://"):
        Client(url, tls=tls.client_context())


@pytest.mark.parametrize("proxy", ["https://proxy.test", "proxy.test:8080", "http://"])
def test_an_invalid_proxy_is_refused_without_repeating_its_password(proxy):
    with pytest.raises(ValueError, match="proxy's address must be"):
        Client("https://push.test", tls=tls.client_context(), proxy_url=proxy)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_requests_go_through_a_proxy(run):
    run(_push_through_a_proxy())


async def _push_through_a_proxy() -> None:
    async with connect_proxy.serve(Proxy()) as proxy:
        route = f"http://127.0.0.1:{proxy.port}"
        peer = Peer()
        async with talking_to(peer, proxy_url=route, max_connections=1) as client:
            sent = await h2_client.send(client, 300, b"x" * 1000)

    assert len(sent.answers) == 300
    assert proxy.targets == [f"localhost:{peer.port}"]


async def test_a_proxy_gets_the_password():
    async with connect_proxy.serve(Proxy(credentials="push:p@ss:word")) as proxy:
        route = f"http://push:p%40ss%3Aword@127.0.0.1:{proxy.port}"
        async with talking_to(Peer(), proxy_url=route) as client:
            sent = await h2_client.send(client, 1)

    assert sent.statuses == {0: 200}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        (b"", "closed the connection"),
        (b"SSH-2.0-server\r\n\r\n", "refuses"),
        (b"x" * 20_000, "not one to CONNECT"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "not one to CONNECT"),
    ],
)
async def test_a_proxy_that_does_not_connect_is_the_reason(answer, reason):
    proxy = Proxy(credentials="push:secret", answer=answer)
    async with connect_proxy.serve(proxy), h2_peer.serve(Peer()) as peer:
        route = f"http://127.0.0.1:{proxy.port}"
        fault = await _refusal(peer.url, tls.client_context(), proxy_url=route)

    assert reason in fault.reason
    assert peer.requests == []
