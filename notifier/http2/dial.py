"""Opening a connection: TCP, possibly through a proxy, TLS, and its protocol."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from notifier.http2 import proxy
from notifier.http2.connection import Connection
from notifier.http2.http1 import Http1Connection

# The head start of the first address over the second (RFC 8305).
_HAPPY_EYEBALLS_S = 0.25
# How long one address is tried if the event loop does not race them.
_NEXT_ADDRESS_S = 2.0

# Maps host and port to addresses to connect to; may raise OSError or ChannelDown.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
# A connection for the protocol that the peer has chosen in the TLS handshake.
Create = Callable[[str | None], Connection | Http1Connection]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """The address of the peer and how to connect to it."""

    host: str
    port: int
    tls: ssl.SSLContext
    proxy: SplitResult | None = None
    # None: the system's resolver.
    resolve: Resolve | None = None
    # Whether HTTP/1.1 is spoken with a peer that has no HTTP/2.
    http1: bool = False

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def parse_peer(
    url: str,
    tls: ssl.SSLContext,
    proxy_url: str | None,
    resolve: Resolve | None = None,
    *,
    http1: bool = False,
) -> Peer:
    """Parse the addresses; ValueError says what is wrong with them."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"not an https://host[:port] address: {url!r}")
    via = urlsplit(proxy_url) if proxy_url else None
    if via and (via.scheme != "http" or not via.hostname):
        # The address may hold a password, so it is not repeated here.
        raise ValueError("the proxy's address must be http://[user:password@]host:port")
    tls.set_alpn_protocols(["h2", "http/1.1"] if http1 else ["h2"])
    return Peer(
        host=parts.hostname,
        port=parts.port or 443,
        tls=tls,
        proxy=via,
        resolve=resolve,
        http1=http1,
    )


async def dial(peer: Peer, create: Create) -> Connection | Http1Connection:
    """A connection that has received the peer's settings, if its protocol has any.

    Raises OSError, of which TLS errors are a kind, with the reason for a failure.
    """
    greeter = _Greeter(peer, create)
    try:
        if peer.proxy is None:
            await _directly(peer, greeter)
        else:
            await _through_proxy(peer, peer.proxy, greeter)
        if greeter.connection is None:
            raise ConnectionError("the server does not speak HTTP/2 (ALPN)")
        await greeter.connection.ready
    except BaseException:
        greeter.close()
        raise
    return greeter.connection


class _Greeter(asyncio.Protocol):
    """Gives a new transport to the protocol that its peer has chosen (ALPN)."""

    def __init__(self, peer: Peer, create: Create) -> None:
        self.connection: Connection | Http1Connection | None = None
        self._peer = peer
        self._create = create
        self._transport: asyncio.Transport | None = None
        # Behind a proxy data may come before the transport is known.
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        protocol = tls.selected_alpn_protocol()
        if protocol != "h2" and not self._peer.http1:
            return
        self.connection = self._create(protocol)
        self._transport.set_protocol(self.connection)
        self.connection.connection_made(transport)
        if self._early:
            self.connection.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        self._early += data

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close("it could not be opened")
        elif self._transport is not None:
            self._transport.abort()


async def _directly(peer: Peer, greeter: _Greeter) -> None:
    addresses = await _addresses(peer)
    for address in addresses[:-1]:
        try:
            async with asyncio.timeout(_NEXT_ADDRESS_S):
                return await _connect(peer, greeter, address)
        except OSError:
            # A timeout counts, too: any other address of the host is as good.
            continue
    return await _connect(peer, greeter, addresses[-1])


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


async def _connect(peer: Peer, greeter: _Greeter, host: str) -> None:
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    if isinstance(loop, asyncio.BaseEventLoop):
        # uvloop does not have it.
        options["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_S
    await loop.create_connection(
        lambda: greeter,
        host,
        peer.port,
        ssl=peer.tls,
        server_hostname=peer.host,
        **options,
    )


async def _through_proxy(peer: Peer, via: SplitResult, greeter: _Greeter) -> None:
    loop = asyncio.get_running_loop()
    transport, tunnel = await loop.create_connection(
        proxy.Tunnel, str(via.hostname), via.port or 8080
    )
    try:
        transport.write(proxy.connect_request(peer.host, peer.port, via))
        await tunnel.open
        secured = await loop.start_tls(
            transport, greeter, peer.tls, server_hostname=peer.host
        )
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectionError("the proxy closed the connection")
    # asyncio leaves this call to its caller after start_tls().
    greeter.connection_made(secured)
