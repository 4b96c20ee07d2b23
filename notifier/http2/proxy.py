"""Asking an HTTP proxy for a tunnel to the peer (CONNECT)."""

import asyncio
import base64
from http import HTTPStatus
from urllib.parse import SplitResult, unquote

_MAX_RESPONSE = 16_384


def connect_request(host: str, port: int, via: SplitResult) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if via.username is not None:
        user = f"{unquote(via.username)}:{unquote(via.password or '')}"
        credentials = base64.b64encode(user.encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    return "\r\n".join([*lines, "", ""]).encode()


class Tunnel(asyncio.Protocol):
    """Waits for the proxy's response to CONNECT."""

    def __init__(self) -> None:
        # Done when the tunnel is open, or with the reason why it is not.
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._response = b""

    def data_received(self, data: bytes) -> None:
        if self.open.done():
            return
        self._response += data
        head, end, rest = self._response.partition(b"\r\n\r\n")
        if len(head) > _MAX_RESPONSE:
            self._fail("the proxy's answer is not one to CONNECT")
        elif end:
            self._read_status(head.split(b"\r\n", 1)[0].decode("latin-1"), rest)

    def _read_status(self, status_line: str, rest: bytes) -> None:
        version, _, words = status_line.partition(" ")
        status = words[:3]
        if not (
            version.startswith("HTTP/1.") and status.isascii() and status.isdigit()
        ):
            self._fail(f"the proxy refuses: {status_line[:100]!r}")
        elif not status.startswith("2"):
            # A refusal often has a page for people as its body.
            self._fail(in_words(int(status)))
        elif rest:
            self._fail("the proxy's answer is not one to CONNECT")
        else:
            self.open.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open.done():
            self._fail("the proxy closed the connection")

    def _fail(self, reason: str) -> None:
        self.open.set_exception(ConnectionError(reason))


def in_words(status: int) -> str:
    """A proxy's answer to CONNECT for the operator, without the proxy's own text."""
    try:
        phrase = HTTPStatus(status).phrase.lower()
    except ValueError:
        return f"the proxy answers {status}"
    return f"the proxy answers {status}: {phrase}"
