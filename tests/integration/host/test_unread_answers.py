"""Clients of `python server.py` that do not take their answers."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from host.answers import BYTES
from tests.support.client import Client
from tests.support.impatient_server import SILENT_S, TAKEN_PER_S
from tests.support.server import Server
from tests.support.unread import (
    LONG_ANSWER,
    connect,
    connected,
    has_ended,
    until_ended,
)
from tests.support.wait import until

IMPATIENT = (sys.executable, "-m", "tests.support.impatient_server")
SHORT_ANSWER = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SMALL_PIECE = 2048
ESTABLISHED = "01"
# Leaves 72 connections.
FEW_FILES = ("bash", "-c", 'ulimit -n 200; exec "$@"', "-", *IMPATIENT)


class Socket(NamedTuple):
    """A line of the kernel's table; without a file, the inode is 0."""

    ours: str
    peer: str
    state: str
    inode: str


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("impatient"), command=IMPATIENT) as started:
        yield started


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server that holds few connections."""
    with Server(tmp_path, command=FEW_FILES) as started:
        yield started


@pytest.mark.parametrize(
    "request_sent",
    [
        LONG_ANSWER,
        LONG_ANSWER * 100,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 9999,
    ],
    ids=["one", "pipelined", "short ones"],
)
def test_a_client_that_takes_nothing_loses_its_connection(
    impatient: Server, request_sent: bytes
) -> None:
    with connected(impatient.port, 1) as connections:
        connections[0].setblocking(False)
        # The server takes only some of many requests.
        connections[0].send(request_sent)

        until_ended(connections)

    assert impatient.client.get("/healthz").status == 200


def test_pipelined_requests_of_such_a_client_are_not_all_worked_on(
    impatient: Server,
) -> None:
    before = count_answers(impatient)

    with connected(impatient.port, 1, LONG_ANSWER * 500) as connections:
        until_ended(connections)

    assert count_answers(impatient) - before < 100


def count_answers(server: Server) -> int:
    """How often the API's description was given."""
    lines = server.client.get("/metrics").body.decode().splitlines()
    found = [line for line in lines if "openapi.json" in line and "_count" in line]
    return sum(int(float(line.split()[-1])) for line in found)


def test_clients_that_take_nothing_leave_room_for_others(small: Server) -> None:
    small.client.close()
    with connected(small.port, 80, LONG_ANSWER * 100) as connections:
        health = Client(small.url).get("/healthz")
        # Also those that were ended to make room: their answers leave the kernel.
        until_ended(connections)

    assert health.status == 200


def test_idle_connections_leave_room_for_others(small: Server) -> None:
    small.client.close()
    half = b"GET /healthz HTTP/1.1\r\nHost:"
    with connected(small.port, 60), connected(small.port, 60, half):
        for _ in range(20):
            visitor = Client(small.url)
            assert visitor.get("/healthz").status == 200


def test_room_is_made_where_most_of_it_is_taken(small: Server) -> None:
    small.client.close()
    with connected(small.port, 5, source="127.0.0.2") as few:
        with connected(small.port, 100):
            assert Client(small.url).get("/healthz").status == 200
            until(lambda: count_connections(small) < 64)

        assert not any(map(has_ended, few))


def count_connections(server: Server) -> int:
    """Those that the worker has accepted."""
    (worker,) = server.workers()
    lines = Path(f"/proc/{worker}/net/tcp").read_text().splitlines()[1:]
    sockets = [Socket(*line.split()[1:4], line.split()[9]) for line in lines]
    port = f":{server.port:04X}"
    return sum(
        each.ours.endswith(port) and each.state == ESTABLISHED and each.inode != "0"
        for each in sockets
    )


def test_a_client_that_takes_drops_loses_its_connection(impatient: Server) -> None:
    """It takes something all the time, but too little."""
    with connect(impatient.port) as connection:
        connection.sendall(LONG_ANSWER * 100)
        deadline, taken = time.monotonic() + 60, 0
        while not has_ended(connection) and time.monotonic() < deadline:
            taken += len(connection.recv(SMALL_PIECE))
            time.sleep(SMALL_PIECE / TAKEN_PER_S * 4)

        assert has_ended(connection)
    assert taken > 0


def test_a_client_that_is_only_slow_keeps_its_connection(impatient: Server) -> None:
    with connect(impatient.port) as connection:
        connection.sendall(LONG_ANSWER * 100)
        deadline = time.monotonic() + 4 * SILENT_S
        while time.monotonic() < deadline:
            assert connection.recv(65536)
            time.sleep(0.01)

        assert not has_ended(connection)


def test_answers_that_one_address_does_not_take_are_bounded(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        size = len(server.client.get("/openapi.json").body)
        most = BYTES.address // size
        with connected(server.port, most + 20, LONG_ANSWER) as connections:
            # The requests are not answered in the order of their connections.
            refused = [each for each in connections if is_refused(each)]
            with connected(server.port, 1, LONG_ANSWER, "127.0.0.2") as (other,):
                assert other.recv(12) == b"HTTP/1.1 200"

        assert len(refused) > 10


def is_refused(connection: socket.socket) -> bool:
    head = connection.recv(2048)
    return head.startswith(b"HTTP/1.1 503") and b'"unavailable"' in head
