"""Clients that send a long body in drops, as slowly as is allowed."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from host.body import READ_AHEAD
from host.places import PLACES, QUEUE
from tests.support.client import Client
from tests.support.partial_requests import JSON, head
from tests.support.server import Server
from tests.support.unread import connect
from tests.support.uploads import json_lines, user

LONG = READ_AHEAD * 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@contextmanager
def dripping(
    server: Server, token: str, count: int, source: str = "127.0.0.1"
) -> Iterator[None]:
    """Long lists of members of which the end does not come.

    The server tells one more of them at once that it is too much, so all the others
    have a place, or wait for one.
    """
    begun = head("/groupchat", JSON, token, content_length=LONG) + b" " * (LONG - 9)
    with ExitStack() as opened:
        for _ in range(count):
            connection = opened.enter_context(connect(server.port, source))
            connection.sendall(begun)
        assert connection.recv(12) == b"HTTP/1.1 503"
        yield


# One caller's share of places and of the queue, and one more.
TOO_MANY = PLACES.caller + QUEUE.caller + 1


def long_list(client: Client) -> int:
    body = json.dumps({"name": "Long"}).encode().ljust(LONG)
    return client.request("POST", "/groupchat", body).status


def long_import(server: Server) -> int:
    lines = json_lines(*(user(f"u-{n}") for n in range(3000)))
    assert len(lines) > 2 * READ_AHEAD
    kind = {"Content-Type": "application/x-ndjson"}
    return server.client.request("POST", "/import", lines, kind).status


def test_one_caller_leaves_places_for_the_others(server: Server) -> None:
    _, mallory = server.user("Mallory")
    _, ann = server.user("Ann")

    with dripping(server, mallory.token or "", TOO_MANY):
        assert long_list(ann) == 201
        assert long_import(server) == 202


def test_many_callers_leave_a_place_for_the_service(server: Server) -> None:
    with ExitStack() as attacks:
        # Three addresses with two callers each.
        for number in range(6):
            _, caller = server.user(f"Mallory {number}")
            source = f"127.0.0.{2 + number // 2}"
            attacks.enter_context(
                dripping(server, caller.token or "", TOO_MANY, source)
            )

        assert long_import(server) == 202


def test_callers_without_a_token_hold_no_place(server: Server) -> None:
    begun = head("/groupchat", JSON, content_length=LONG) + b" " * (LONG - 9)
    with ExitStack() as opened:
        for _ in range(PLACES.address + QUEUE.address):
            connection = opened.enter_context(connect(server.port))
            connection.sendall(begun)
            assert connection.recv(12) == b"HTTP/1.1 401"

        _, ann = server.user("Ann")
        assert long_list(ann) == 201
