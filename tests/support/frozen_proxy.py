"""A TCP proxy that can stop forwarding without closing, like a network that is gone."""

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Iterator

from sqlalchemy.engine import make_url

CHUNK = 64 * 1024


class FrozenProxy:
    """Forwards a port of the loopback interface to a server, on one thread.

    `target` is (host, port), or the path of a Unix socket. While it is frozen, all
    connections stay open and silent, and a new one is accepted but not answered. What
    was sent meanwhile arrives after `thaw`, unless `thaw(cut=True)` resets all.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        # How many connections have been opened so far.
        self.accepted = 0
        self._peers: dict[socket.socket, socket.socket] = {}
        self._frozen = False
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = os.pipe()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def freeze(self) -> None:
        """Forward nothing more; returns when that holds."""
        with self._lock:
            self._frozen = True
        self._wake()

    def thaw(self, *, cut: bool = False) -> None:
        """Forward again; with `cut`, reset the connections that were frozen."""
        with self._lock:
            if cut:
                for client in list(self._peers):
                    self._drop(client)
            self._frozen = False
        self._wake()

    def close(self) -> None:
        self._closing = True
        self._wake()
        self._thread.join(10)
        for one in list(self._peers):
            self._drop(one)
        self._listener.close()
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _wake(self) -> None:
        os.write(self._wake_out, b".")

    def _run(self) -> None:
        while not self._closing:
            ready = self._selector.select()
            with self._lock:
                for key, _ in ready:
                    if key.fd == self._wake_in:
                        os.read(self._wake_in, CHUNK)
                        self._watch()
                    elif not self._frozen and not self._closing:
                        self._serve(key.fileobj)  # type: ignore[arg-type]

    def _watch(self) -> None:
        """While it is frozen, only `_wake` may wake the thread."""
        for one in (self._listener, *self._peers):
            with contextlib.suppress(KeyError):
                self._selector.unregister(one)
            if not self._frozen:
                self._selector.register(one, selectors.EVENT_READ)

    def _serve(self, one: socket.socket) -> None:
        if one is self._listener:
            self._accept()
        elif one in self._peers:
            self._forward(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        self._peers[client], self._peers[server] = server, client
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _connect(self) -> socket.socket:
        if not isinstance(self._target, str):
            return socket.create_connection(self._target, 10)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        return server

    def _forward(self, one: socket.socket) -> None:
        try:
            data = one.recv(CHUNK)
            if data:
                self._peers[one].sendall(data)
                return
        except OSError:
            pass
        self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        """Close a connection and the one behind it."""
        peer = self._peers.pop(one, None)
        if peer is None:
            return
        del self._peers[peer]
        for side in (one, peer):
            with contextlib.suppress(KeyError):
                self._selector.unregister(side)
            side.close()


def target_of(url: str) -> tuple[str, int] | str:
    """Where a database listens; PostgreSQL's and MariaDB's may have Unix sockets."""
    parsed = make_url(url)
    if directory := parsed.query.get("host"):
        return f"{directory}/.s.PGSQL.{parsed.port or 5432}"
    if path := parsed.query.get("unix_socket"):
        return str(path)
    assert parsed.host is not None
    assert parsed.port is not None
    return parsed.host, parsed.port


def through(url: str, proxy: FrozenProxy) -> str:
    """The address of the same database behind the proxy."""
    direct = make_url(url).difference_update_query(["host", "unix_socket"])
    behind = direct.set(host="127.0.0.1", port=proxy.port)
    return behind.render_as_string(hide_password=False)


@contextlib.contextmanager
def forwarding(target: tuple[str, int] | str) -> Iterator[FrozenProxy]:
    proxy = FrozenProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
