"""The way to the peer: TCP, perhaps through a CONNECT proxy, TLS, HTTP/2."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from notifier.http2.connection import Connection

# A second address is tried when the first is silent for so long (RFC 8305).
_HAPPY_EYEBALLS_S = 0.25
# Where the loop does not do that, addresses are tried one after the other.
_NEXT_ADDRESS_S = 2.0
_LARGEST_PROXY_ANSWER = 16_384

# Host and port to the addresses to connect to; may raise OSError or ChannelDown.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Where the peer is and how to get there."""

    host: str
    port: int
    tls: ssl.SSLContext
    proxy: SplitResult | None = None
    # None: the system's own way.
    resolve: Resolve | None = None

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def parse_peer(
    url: str,
    tls: ssl.SSLContext,
    proxy_url: str | None,
    resolve: Resolve | None = None,
) -> Peer:
    """Read the addresses; ValueError says what is wrong with them."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"not an https://host[:port] address: {url!r}")
    proxy = urlsplit(proxy_url) if proxy_url else None
    if proxy and (proxy.scheme != "http" or not proxy.hostname):
        # The address may hold a password, so it is not repeated here.
        raise ValueError("the proxy's address must be http://[user:password@]host:port")
    tls.set_alpn_protocols(["h2"])
    port = parts.port or 443
    return Peer(host=parts.hostname, port=port, tls=tls, proxy=proxy, resolve=resolve)


async def dial(peer: Peer, make: Callable[[], Connection]) -> Connection:
    """A connection that speaks HTTP/2 and has the peer's settings.

    Raises OSError (which TLS errors are) with the reason when there is none.
    """
    connection = make()
    try:
        if peer.proxy is None:
            transport = await _directly(peer, connection)
        else:
            transport = await _through_proxy(peer, peer.proxy, connection)
        tls = transport.get_extra_info("ssl_object")
        if tls.selected_alpn_protocol() != "h2":
            raise ConnectionError("the server does not speak HTTP/2 (ALPN)")
        await connection.ready
    except BaseException:
        connection.close("it could not be opened")
        raise
    return connection


async def _directly(peer: Peer, connection: Connection) -> asyncio.BaseTransport:
    addresses = await _addresses(peer)
    for address in addresses[:-1]:
        try:
            async with asyncio.timeout(_NEXT_ADDRESS_S):
                return await _connect(peer, connection, address)
        except OSError:
            # Silent or refusing: a host's addresses are as good as each other.
            continue
    return await _connect(peer, connection, addresses[-1])


async def _addresses(peer: Peer) -> Sequence[str]:
    if peer.resolve is not None:
        return await peer.resolve(peer.host, peer.port)
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.BaseEventLoop):
        return [peer.host]
    # uvloop would wait for a silent address longer than we wait for a connection.
    kind = socket.SOCK_STREAM
    found = await loop.getaddrinfo(peer.host, peer.port, type=kind)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def _connect(
    peer: Peer, connection: Connection, host: str
) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    pace: dict[str, Any] = {}
    if isinstance(loop, asyncio.BaseEventLoop):
        # uvloop does not know it.
        pace["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_S
    transport, _ = await loop.create_connection(
        lambda: connection,
        host,
        peer.port,
        ssl=peer.tls,
        server_hostname=peer.host,
        **pace,
    )
    return transport


async def _through_proxy(
    peer: Peer, proxy: SplitResult, connection: Connection
) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    transport, tunnel = await loop.create_connection(
        _Tunnel, str(proxy.hostname), proxy.port or 8080
    )
    try:
        transport.write(_connect_request(peer, proxy))
        await tunnel.open
        secured = await loop.start_tls(
            transport, connection, peer.tls, server_hostname=peer.host
        )
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectionError("the proxy closed the connection")
    # asyncio leaves this to the caller when it upgrades a connection.
    connection.connection_made(secured)
    return secured


def _connect_request(peer: Peer, proxy: SplitResult) -> bytes:
    host = f"[{peer.host}]" if ":" in peer.host else peer.host
    target = f"{host}:{peer.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username is not None:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        credentials = base64.b64encode(user.encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    return "\r\n".join([*lines, "", ""]).encode()


class _Tunnel(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer = b""

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if self.open.done():
            return
        if len(head) > _LARGEST_PROXY_ANSWER or rest:
            self._refuse("the proxy's answer is not one to CONNECT")
        elif end:
            self._judge(head.split(b"\r\n", 1)[0].decode("latin-1"))

    def _judge(self, status_line: str) -> None:
        version, _, status = status_line.partition(" ")
        if version.startswith("HTTP/1.") and status[:1] == "2":
            self.open.set_result(None)
        else:
            self._refuse(f"the proxy refuses: {status_line[:100]!r}")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open.done():
            self._refuse("the proxy closed the connection")

    def _refuse(self, reason: str) -> None:
        self.open.set_exception(ConnectionError(reason))
