"""Clients that ask for more than they take."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.wait import until

LONG_ANSWER = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
# As little as the system offers: the rest of an answer waits at the server.
SMALL_BUFFER = 4096


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.settimeout(30)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    return connection


@contextmanager
def connected(
    port: int, count: int, request: bytes = b"", source: str = "127.0.0.1"
) -> Iterator[list[socket.socket]]:
    """Connections that each send something and take nothing."""
    with ExitStack() as opened:
        connections = []
        for _ in range(count):
            connection = opened.enter_context(connect(port, source))
            connection.sendall(request)
            connections.append(connection)
        yield connections


def has_ended(connection: socket.socket) -> bool:
    """Whether the server has ended it, found out without taking anything."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def until_ended(connections: list[socket.socket]) -> None:
    until(lambda: all(map(has_ended, connections)), 60, what="for the connections' end")
