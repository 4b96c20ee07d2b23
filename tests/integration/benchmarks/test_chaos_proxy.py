"""The proxy of chaos behaves as a network that dies without a word."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.chaos.frozen_proxy import FrozenProxy

SHORT_S, LONG_S = 0.2, 10.0


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FrozenProxy]:
    """In front of a server that echoes."""
    path = str(tmp_path / "echo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    def echo(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    proxy = FrozenProxy(path)
    yield proxy
    proxy.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    server.join()


def connect(proxy: FrozenProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), LONG_S)


def ask(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    client.settimeout(LONG_S)
    return client.recv(1000)


def is_silent(client: socket.socket) -> bool:
    """Neither data nor an end arrives."""
    client.settimeout(SHORT_S)
    try:
        client.recv(1000)
    except TimeoutError:
        return True
    return False


def test_bytes_are_forwarded(proxy: FrozenProxy) -> None:
    with closing(connect(proxy)) as client:
        assert ask(client, b"one") == b"one"
        assert ask(client, b"two") == b"two"


def test_frozen_proxy_is_silent_and_loses_nothing(proxy: FrozenProxy) -> None:
    with closing(connect(proxy)) as old:
        assert ask(old, b"before") == b"before"

        proxy.freeze()
        old.sendall(b"meanwhile")
        with closing(connect(proxy)) as new:
            new.sendall(b"new")
            assert is_silent(old)
            assert is_silent(new)

            proxy.thaw()
            old.settimeout(LONG_S)
            new.settimeout(LONG_S)
            assert old.recv(1000) == b"meanwhile"
            assert new.recv(1000) == b"new"


def test_lost_connections_stay_silent_while_new_ones_work(proxy: FrozenProxy) -> None:
    with closing(connect(proxy)) as old:
        assert ask(old, b"before") == b"before"

        proxy.freeze()
        proxy.thaw_new()

        with closing(connect(proxy)) as new:
            assert ask(new, b"new") == b"new"
        old.sendall(b"lost")
        assert is_silent(old)


def test_end_of_a_peer_is_forwarded(proxy: FrozenProxy) -> None:
    with closing(connect(proxy)) as client:
        assert ask(client, b"one") == b"one"
        client.shutdown(socket.SHUT_WR)
        client.settimeout(LONG_S)

        assert client.recv(1000) == b""
