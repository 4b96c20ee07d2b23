"""How web workers and the manager talk: BaseManager's protocol with JSON for pickle.

What is unpickled may run any code, so whoever knew the authkey could. JSON cannot, and
a number is all that has to cross. Nothing is encrypted: between hosts, take a network
that is yours.
"""

import json
import socket
import struct
from collections.abc import Callable
from contextlib import closing
from multiprocessing import connection, managers
from multiprocessing.managers import BaseManager, BaseProxy, Server
from typing import Any

from config import Settings, SettingsError

# On the messenger's thread; no request waits for it.
CONNECT_S = 2.0
ANSWER_S = 5


def address(settings: Settings) -> tuple[str, int]:
    host, _, port = settings.manager_address.rpartition(":")
    return host, int(port)


def authkey(settings: Settings) -> bytes:
    if settings.manager_authkey is None:
        raise SettingsError(
            "BOTTLEPOST_MANAGER_AUTHKEY", "is missing: the manager needs one"
        )
    return settings.manager_authkey.encode()


class WakeProxy(BaseProxy):
    """The web worker's end of the only thing that the manager offers."""

    _exposed_ = ("ring",)

    def ring(self, job_id: int) -> None:
        self._callmethod("ring", (job_id,))


class PushManager(BaseManager):
    """Knows one thing, a bell to ring with a job's id."""


PushManager.register("bell", proxytype=WakeProxy)


class PushServer(Server):
    """Serves the bell and nothing else; `ring` is called on a client's own thread."""

    # Without those that would end the server or show what is in it.
    public = ["create", "accept_connection", "dummy", "incref", "decref"]  # noqa: RUF012

    def __init__(self, settings: Settings, ring: Callable[[int], None]) -> None:
        registry: dict[str, Any] = {
            "bell": (lambda: _WakeHandler(ring), WakeProxy._exposed_, None, WakeProxy)
        }
        super().__init__(registry, address(settings), authkey(settings), "json")


class _WakeHandler:
    def __init__(self, ring: Callable[[int], None]) -> None:
        self._ring = ring

    def ring(self, job_id: int) -> None:
        if not isinstance(job_id, int):
            raise TypeError("a job's id is a number")
        self._ring(job_id)


def _wrapped(plain: Any) -> Any:
    wrapper: Any = connection
    return wrapper.ConnectionWrapper(
        plain, lambda sent: json.dumps(sent).encode(), json.loads
    )


class _JsonListener(connection.Listener):
    def accept(self) -> Any:
        return _wrapped(super().accept())


def _json_client(where: tuple[str, int], authkey: bytes) -> Any:
    """A connection on which nothing takes forever, whatever the other end does."""
    with closing(socket.create_connection(where, CONNECT_S)) as opened:
        opened.settimeout(None)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            limit = struct.pack("ll", ANSWER_S, 0)
            opened.setsockopt(socket.SOL_SOCKET, option, limit)
        plain = connection.Connection(opened.detach())
    try:
        connection.answer_challenge(plain, authkey)
        connection.deliver_challenge(plain, authkey)
    except BaseException:
        plain.close()
        raise
    return _wrapped(plain)


# The table in which BaseManager looks its serializers up.
managers.listener_client["json"] = (_JsonListener, _json_client)  # type: ignore[attr-defined]
