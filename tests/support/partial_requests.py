"""Requests that are sent only in part."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def head(path: str, media_type: str, token: str = "", **headers: object) -> bytes:
    """The request line and headers; `content_length=5` is Content-Length: 5."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {media_type}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "\r\n"]).encode()


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


@contextmanager
def sent(port: int, requests: Iterable[bytes]) -> Iterator[list[socket.socket]]:
    """A connection for each request; all are closed at the end."""
    with ExitStack() as opened:
        connections = []
        for request in requests:
            connection = socket.create_connection(("127.0.0.1", port), 30)
            opened.enter_context(connection)
            connection.sendall(request)
            connections.append(connection)
        yield connections


def answer(connection: socket.socket) -> bytes:
    """Everything received until the server closes the connection."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received
