"""Our host sends an answer of many pieces while it is made."""

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("run")) as started:
        yield started


def test_an_export_comes_in_chunks_and_has_an_end(server: Server) -> None:
    user, client = server.user("Ann")
    chat = client.post("/groupchat", {"name": "Lunch"}).json["id"]
    for n in range(20):
        body = {"conversation": chat, "message": f"{n} " + "x" * 3000}
        client.post("/groupchat/send", body)

    reply = client.get(f"/users/{user}/export")

    lines = [json.loads(line) for line in reply.body.splitlines()]
    assert reply.headers["transfer-encoding"] == "chunked"
    assert [line["type"] for line in lines][-21:] == ["message"] * 20 + ["end"]
    assert lines[-1]["lines"] == len(lines) - 1


def test_a_client_that_goes_away_stops_nothing(server: Server) -> None:
    user, client = server.user("Ann")
    request = (
        f"GET /users/{user}/export HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {client.token}\r\n\r\n"
    )
    host, _, port = server.client.url.removeprefix("http://").partition(":")

    for _ in range(40):
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(request.encode())

    assert client.get("/me").json["id"] == user
    assert client.get(f"/users/{user}/export").status == 200
