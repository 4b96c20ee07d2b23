"""Opening a connection: TCP, possibly through a CONNECT proxy, TLS, HTTP/2."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from notifier.http2.connection import Connection

# The head start of the first address over the second (RFC 8305).
_HAPPY_EYEBALLS_S = 0.25
# How long one address is tried if the event loop does not race them.
_NEXT_ADDRESS_S = 2.0
_MAX_PROXY_RESPONSE = 16_384

# Maps host and port to addresses to connect to; may raise OSError or ChannelDown.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """The address of the peer and how to connect to it."""

    host: str
    port: int
    tls: ssl.SSLContext
    proxy: SplitResult | None = None
    # None: the system's resolver.
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
    """Parse the addresses; ValueError says what is wrong with them."""
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


async def dial(peer: Peer, create: Callable[[], Connection]) -> Connection:
    """A connection that speaks HTTP/2 and has received the peer's settings.

    Raises OSError, of which TLS errors are a kind, with the reason for a failure.
    """
    connection = create()
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
            # A timeout counts, too: any other address of the host is as good.
            continue
    return await _connect(peer, connection, addresses[-1])


async def _addresses(peer: Peer) -> Sequence[str]:
    if peer.resolve is not None:
        return await peer.resolve(peer.host, peer.port)
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.BaseEventLoop):
        return [peer.host]
    # uvloop waits for a silent address longer than our timeout for the connection.
    kind = socket.SOCK_STREAM
    found = await loop.getaddrinfo(peer.host, peer.port, type=kind)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def _connect(
    peer: Peer, connection: Connection, host: str
) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    if isinstance(loop, asyncio.BaseEventLoop):
        # uvloop does not have it.
        options["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_S
    transport, _ = await loop.create_connection(
        lambda: connection,
        host,
        peer.port,
        ssl=peer.tls,
        server_hostname=peer.host,
        **options,
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
    # asyncio leaves this call to its caller after start_tls().
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
    """Waits for the proxy's response to CONNECT."""

    def __init__(self) -> None:
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._response = b""

    def data_received(self, data: bytes) -> None:
        self._response += data
        head, end, rest = self._response.partition(b"\r\n\r\n")
        if self.open.done():
            return
        if len(head) > _MAX_PROXY_RESPONSE or rest:
            self._fail("the proxy's answer is not one to CONNECT")
        elif end:
            self._read_status(head.split(b"\r\n", 1)[0].decode("latin-1"))

    def _read_status(self, status_line: str) -> None:
        version, _, status = status_line.partition(" ")
        if version.startswith("HTTP/1.") and status[:1] == "2":
            self.open.set_result(None)
        else:
            self._fail(f"the proxy refuses: {status_line[:100]!r}")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open.done():
            self._fail("the proxy closed the connection")

    def _fail(self, reason: str) -> None:
        self.open.set_exception(ConnectionError(reason))
