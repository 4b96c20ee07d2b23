"""What hostile members, devices and clients do, each in a process of its own."""

import asyncio
import json
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from jh2.hyperframe.frame import WindowUpdateFrame

from benchmarks.clients import LoadConnection, LoadSender, request_of
from benchmarks.isolation.stage import Chat
from tests.support import h2_peer
from tests.support.h2_peer import Peer, PeerRequest

STOP_S = 10.0
# The frames that a flood sends at a time.
FLOOD = WindowUpdateFrame(0, 1).serialize() * 5000
SLOW_S = 9.0


@contextmanager
def acting(work: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """The work goes on during the block."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(STOP_S)


def post(port: int, chats: Sequence[Chat], per_second: float, first: int = 0) -> None:
    """Post in turn, the first messages at once; refusals are part of the game."""
    requests = [request_of(LoadSender(chat.sender, chat.id)) for chat in chats]
    began_at = time.monotonic()
    connection: LoadConnection | None = None
    number = 0
    while True:
        due_at = began_at + max(number - first, 0) / per_second
        time.sleep(max(due_at - time.monotonic(), 0))
        try:
            connection = connection or LoadConnection(port)
            connection.exchange(requests[number % len(requests)])
        except (OSError, RuntimeError):
            connection = None
        number += 1


# -- push services that a member names


def answer(request: PeerRequest) -> None:
    request.answer(201)


def keep_silent(request: PeerRequest) -> None:
    return


def answer_late(request: PeerRequest) -> None:
    asyncio.get_running_loop().call_later(SLOW_S, _answer_if_open, request)


def _answer_if_open(request: PeerRequest) -> None:
    with suppress(Exception):
        request.answer(201)


def flood(request: PeerRequest) -> None:
    """Frames that mean nothing, as fast as they are taken."""
    task = asyncio.get_running_loop().create_task(_flood(request))
    # A task needs a reference to stay.
    request.connection.flooding = task  # type: ignore[attr-defined]


async def _flood(request: PeerRequest) -> None:
    transport = request.connection.transport
    while not request.connection.lost:
        if transport.get_write_buffer_size() < 2 * len(FLOOD):
            transport.write(FLOOD)
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(0.001)


def serve(port: int, react: Callable[[PeerRequest], None]) -> None:
    asyncio.run(_serve(port, react))


async def _serve(port: int, react: Callable[[PeerRequest], None]) -> None:
    async with h2_peer.serve(Peer(on_request=react), port=port):
        await asyncio.Event().wait()


def accept_only(port: int) -> None:
    """Connections that say nothing, not even in TLS."""
    with socket.create_server(("127.0.0.1", port), backlog=512) as server:
        kept = []
        while True:
            kept.append(server.accept())


# -- clients


def request(token: str, path: str, body: Any = None) -> bytes:
    """A complete request, GET or POST."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def pipeline(port: int, sockets: int, requests: bytes, *, reads: bool) -> None:
    """Many requests on each connection, whose answers are read or not."""
    kept = [socket.create_connection(("127.0.0.1", port)) for _ in range(sockets)]
    for each in kept:
        each.setblocking(reads)
        with suppress(OSError):
            each.sendall(requests)
    while True:
        for each in kept:
            if reads:
                each.settimeout(0.2)
                with suppress(OSError):
                    while each.recv(1 << 20):
                        pass
        time.sleep(1)


def drip(port: int, sockets: int, head: bytes, body: bytes, per_second: int) -> None:
    """Bodies at a few bytes a second; a connection that is closed begins anew."""
    kept: list[socket.socket] = []
    while True:
        kept += [_begin(port, head) for _ in range(sockets - len(kept))]
        for each in list(kept):
            try:
                each.sendall(body[:per_second])
            except OSError:
                kept.remove(each)
        time.sleep(1)


def _begin(port: int, head: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(head)
    return connection


def hold(port: int, sockets: int, asked: bytes) -> None:
    """Connections with one request each, asked anew when it is answered."""
    kept: list[socket.socket] = []
    while True:
        while len(kept) < sockets:
            with suppress(OSError):
                kept.append(_begin(port, asked))
        for each in list(kept):
            each.setblocking(False)
            try:
                if not each.recv(65536):
                    kept.remove(each)
                else:
                    each.sendall(asked)
            except BlockingIOError:
                continue
            except OSError:
                kept.remove(each)
        time.sleep(0.05)


def repeat(port: int, asked: bytes, per_second: float, source: str = "") -> None:
    """One request after the other, whatever the answers."""
    connection: LoadConnection | None = None
    began_at, number = time.monotonic(), 0
    while True:
        due_at = began_at + number / per_second
        time.sleep(max(due_at - time.monotonic(), 0))
        number += 1
        try:
            connection = connection or LoadConnection(port, source=source)
            connection.exchange(asked)
        except RuntimeError:
            # Refused, on a connection that stays open.
            continue
        except OSError:
            connection = None
