"""The protocol of web workers and the manager: BaseManager's, with JSON for pickle.

Unpickling can run any code, so a client with the authkey could. JSON cannot, and only a
number is sent. Nothing is encrypted: between hosts, use a private network.
"""

import json
import socket
import struct
from collections.abc import Callable
from contextlib import closing
from multiprocessing import connection, managers
from multiprocessing.managers import BaseManager, BaseProxy, Server
from typing import Any

from config import Settings, SettingsError, fingerprint
from notifier.engine import is_job_id

# On the wake sender's thread; no request waits for it.
CONNECT_S = 2.0
RESPONSE_S = 5


def address(settings: Settings) -> tuple[str, int]:
    host, _, port = settings.manager_address.rpartition(":")
    return host, int(port)


def authkey(settings: Settings) -> bytes:
    if settings.manager_authkey is None:
        raise SettingsError(
            "BOTTLEPOST_MANAGER_AUTHKEY", "is missing: the manager needs one"
        )
    return settings.manager_authkey.encode()


def fingerprints(settings: Settings) -> dict[str, str]:
    """Fingerprints of what has to be the same in the web workers and the manager.

    Their key is made from the authkey, so they tell others nothing. On one host, both
    also have to name the same database.
    """
    names = list(fingerprint.OF_PUSHES)
    if address(settings)[0] in ("127.0.0.1", "localhost", "::1"):
        names.append("database_url")
    each = fingerprint.of_each(settings, b"settings" + authkey(settings), names)
    return {**each, "code": fingerprint.code()}


class WakeProxy(BaseProxy):
    """The web worker's end of the methods that the manager offers."""

    _exposed_ = ("ring", "fingerprints")

    def ring(self, job_id: int) -> None:
        self._callmethod("ring", (job_id,))

    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the manager's settings; see `fingerprints` below."""
        proxy: Any = super()
        return dict(proxy._callmethod("fingerprints"))


class PushManager(BaseManager):
    """Connects to the manager, and offers its one object."""


PushManager.register("bell", proxytype=WakeProxy)


class PushServer(Server):
    """Serves one object and its methods, which run on one thread per client."""

    # Without the methods that would stop the server or inspect it.
    public = ["create", "accept_connection", "dummy", "incref", "decref"]  # noqa: RUF012

    def __init__(self, settings: Settings, ring: Callable[[int], None]) -> None:
        # The names "bell" and "ring" are part of the protocol.
        handler = _WakeHandler(ring, fingerprints(settings))
        registry: dict[str, Any] = {
            "bell": (lambda: handler, WakeProxy._exposed_, None, WakeProxy)
        }
        super().__init__(registry, address(settings), authkey(settings), "json")


class _WakeHandler:
    def __init__(
        self, ring: Callable[[int], None], fingerprints: dict[str, str]
    ) -> None:
        self._ring = ring
        self._fingerprints = fingerprints

    def fingerprints(self) -> dict[str, str]:
        return self._fingerprints

    def ring(self, job_id: int) -> None:
        if not is_job_id(job_id):
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
    """A connection with timeouts for connecting, reading and writing."""
    with closing(socket.create_connection(where, CONNECT_S)) as opened:
        opened.settimeout(None)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            limit = struct.pack("ll", RESPONSE_S, 0)
            opened.setsockopt(socket.SOL_SOCKET, option, limit)
        plain = connection.Connection(opened.detach())
    try:
        connection.answer_challenge(plain, authkey)
        connection.deliver_challenge(plain, authkey)
    except BaseException:
        plain.close()
        raise
    return _wrapped(plain)


# The table in which BaseManager looks up its serializers.
managers.listener_client["json"] = (_JsonListener, _json_client)  # type: ignore[attr-defined]
