"""The access log of our own host."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bottlepost.logs.addresses import shown
from tests.support.server import Server
from tests.support.wait import until

TOKEN = "m3Qk-2jv_Zt0Xy7LwPq9RsTuVwXyZ0123456789abcd"
JSON = {"BOTTLEPOST_LOG_FORMAT": "json", "BOTTLEPOST_TRUSTED_PROXIES": "127.0.0.1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("own"), JSON) as server:
        yield server


def _line(server: Server, request_id: str) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        entries = map(json.loads, server.log().splitlines())
        found = [entry for entry in entries if entry["request_id"] == request_id]
        return found[0] if found else None

    line = until(find, what="for the line")
    assert line is not None
    return line


def _send(server: Server, head: str) -> str:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode()


@pytest.mark.parametrize(
    ("request_id", "head", "fields"),
    [
        (
            "a-request",
            "GET /users?external_id=ann%40example.org&limit=5 HTTP/1.1\nHost: x\n"
            "X-Forwarded-For: 203.0.113.9\nX-Request-Id: a-request\n"
            "Connection: close\n\n",
            ("/users?external_id=…&limit=5", 401, "203.0.113.9"),
        ),
        (
            "refused-at-once",
            "GET /healthz HTTP/1.1\nHost: x\nHost: y\nX-Request-Id: refused-at-once\n"
            "Connection: close\n\n",
            ("/healthz", 400, "127.0.0.1"),
        ),
        (
            "no-such-page",
            f"GET /mine/{TOKEN} HTTP/1.1\nHost: x\nX-Request-Id: no-such-page\n"
            "Connection: close\n\n",
            ("/mine/…", 404, "127.0.0.1"),
        ),
    ],
    ids=["refused", "malformed", "unknown"],
)
def test_each_request_has_a_line(
    server: Server, request_id: str, head: str, fields: tuple[str, int, str]
) -> None:
    answer = _send(server, head)

    line = _line(server, request_id)
    assert f"x-request-id: {request_id}" in answer.lower()
    assert (line["path"], line["status"], line["client"]) == fields
    assert line["bytes"] == len(answer.partition("\r\n\r\n")[2].encode())
    assert 0 < line["duration_ms"] < 60_000
    assert (line["process"], line["logger"]) == ("web", "bottlepost.access")
    assert TOKEN not in server.log()


def test_all_lines_of_the_server_are_json(server: Server) -> None:
    entries = list(map(json.loads, server.log().splitlines()))

    assert {"server", "web"} >= {entry["process"] for entry in entries}
    assert any("listens on" in entry["message"] for entry in entries)


def test_a_setting_turns_it_off(tmp_path: Path) -> None:
    with Server(tmp_path, {"BOTTLEPOST_ACCESS_LOG": "off"}) as server:
        assert server.client.get("/healthz").status == 200

    assert "/healthz" not in server.log()


@pytest.mark.parametrize(
    ("path", "query", "line"),
    [
        ("/jobs/5", "", "/jobs/5"),
        ("/dashboard", "span=hour&still", "/dashboard?span=hour&still=…"),
        ("/x", "after=12&token=secret-1", "/x?after=12&token=…"),
        ("/users/ann@example.org", "", "/users/…"),
        (f"/unsubscribe/{TOKEN}", "", "/unsubscribe/…"),
        ("/a b\n2026 forged", "", "/a%20b%0A2026%20forged"),
        ("/x", f"{TOKEN}{TOKEN}=1", "/x?…=1"),
        ("/x", "&".join(["a=1"] * 1000), "/x?" + "&".join(["a=1"] * 20)),
    ],
)
def test_an_address_shows_no_secret(path: str, query: str, line: str) -> None:
    assert shown(path, query) == line
