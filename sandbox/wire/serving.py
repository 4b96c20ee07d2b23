"""Listening sockets, TLS, and the choice between HTTP/1.1 and HTTP/2."""

import asyncio
import socket
import ssl
from typing import Any, cast

from cryptography import x509
from cryptography.x509.oid import NameOID

from sandbox.keys import Keys
from sandbox.state import Sandbox
from sandbox.wire.http1 import Http1
from sandbox.wire.http2 import Http2

# An outage of "all" only: a handshake does not show which provider is meant.
REFUSE = "refuse"


class PortTaken(Exception):
    """Another process listens on that port."""


class AlpnSwitch(asyncio.Protocol):
    """Waits for the TLS handshake, then switches to the protocol of ALPN."""

    def __init__(self, sandbox: Sandbox, environment: str) -> None:
        self._sandbox = sandbox
        self._environment = environment

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        connection_state: dict[str, Any] = {"environment": self._environment}
        topic = _certified_topic(tls.getpeercert(binary_form=True))
        if topic is not None:
            connection_state["topic"] = topic
        agreed = tls.selected_alpn_protocol()
        # The console stays reachable over HTTP/1.1, because it ends the outage.
        if agreed == "h2" and self._sandbox.rules.outage.get("all") == REFUSE:
            transport.abort()
            return
        protocol = (Http2 if agreed == "h2" else Http1)(self._sandbox, connection_state)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises PortTaken with a message for the user."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server(
            (host, port), family=family, backlog=1024, reuse_port=False
        )
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise PortTaken(f"cannot listen on {host}:{port}: {reason}") from error
    listening.setblocking(False)
    return listening


def tls_context(keys: Keys) -> ssl.SSLContext:
    """TLS as the providers use it: 1.2 or later, client certificates optional."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(keys.server_file)
    context.load_verify_locations(keys.ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def listen(
    sandbox: Sandbox, environment: str, listening: socket.socket, tls: ssl.SSLContext
) -> asyncio.Server:
    """Serve one environment of the providers on a bound socket."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: AlpnSwitch(sandbox, environment), sock=listening, ssl=tls, backlog=1024
    )


def _certified_topic(certificate: bytes | None) -> str | None:
    if certificate is None:
        return None
    subject = x509.load_der_x509_certificate(certificate).subject
    names = subject.get_attributes_for_oid(NameOID.USER_ID)
    return str(names[0].value) if names else None
