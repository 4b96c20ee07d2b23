"""Clients of `python server.py` that send slowly, partially, or large bodies."""

import http.client
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from datastore import Datastore
from host.body import READ_AHEAD
from host.places import PLACES
from models.imports import ImportJob
from tests.support.impatient_server import SILENT_S
from tests.support.partial_requests import FORM, JSON, answer, chunk, head, sent
from tests.support.server import Server
from tests.support.uploads import user
from tests.support.wait import until

IMPATIENT = (sys.executable, "-m", "tests.support.impatient_server")
JSON_LINES = "application/x-ndjson"
# The longest allowed lines, so that a large file has few rows to import.
ROWS = [
    json.dumps(user(f"u-{n}")).encode().ljust(16_000) + b"\n" for n in range(20 * 66)
]
FILE = b"".join(ROWS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("impatient"), command=IMPATIENT) as started:
        yield started


def test_half_requests_block_no_others(server: Server) -> None:
    _, ann = server.user("Ann")
    chat = ann.post("/groupchat", {"name": "Alone"}).json["id"]
    token = ann.token or ""
    form = head("/dashboard/login", FORM, content_length=1000) + b"key=1"
    send = head("/groupchat/send", JSON, token, content_length=1000) + b"{"
    long = head("/groupchat", JSON, token, content_length=READ_AHEAD * 2) + b"{"
    chunks = head("/groupchat", JSON, token, transfer_encoding="chunked") + chunk(b"{")

    with sent(server.port, [form, send] * 50 + [long, chunks] * 25) as halves:
        health = server.client.get("/healthz")
        said = ann.post("/groupchat/send", {"conversation": chat, "message": "here"})

        assert (health.status, said.status) == (200, 201)
        # No half request has ended yet, so none of them has blocked the others.
        for half in halves:
            half.setblocking(False)
            with pytest.raises(BlockingIOError):
                half.recv(1)


def test_slow_long_bodies_leave_room_for_others(server: Server) -> None:
    _, ann = server.user("Ann")
    chat = ann.post("/groupchat", {"name": "Alone"}).json["id"]
    begun = head("/groupchat", JSON, ann.token or "", content_length=READ_AHEAD * 3)
    begun += b" " * (READ_AHEAD * 2)

    with sent(server.port, [begun] * (PLACES.total + 100)) as halves:
        # Requests above the limit are refused, the last ones at once.
        refused = halves[-1].recv(65536)
        said = ann.post("/groupchat/send", {"conversation": chat, "message": "here"})

    assert refused.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 2\r\n" in refused
    assert b'"code": "unavailable"' in refused
    assert said.status == 201


@pytest.mark.parametrize(
    "begun",
    [
        head("/dashboard/login", FORM, content_length=1000) + b"key=1",
        head("/groupchat/send", JSON, "nobody", content_length=1000),
        head("/groupchat/send", JSON, transfer_encoding="chunked") + chunk(b"{"),
        head("/groupchat", JSON, content_length=READ_AHEAD * 2) + b"{" * 1000,
    ],
    ids=["form", "nothing", "chunked", "long"],
)
def test_a_body_that_stops_ends_its_connection(impatient: Server, begun: bytes) -> None:
    with sent(impatient.port, [begun]) as (half,):
        told = answer(half)

    assert told.startswith(b"HTTP/1.1 408")
    assert b'"code": "too_slow"' in told


def test_a_long_body_that_stops_ends_its_connection(impatient: Server) -> None:
    begun = head(
        "/groupchat", JSON, impatient.service_key, content_length=READ_AHEAD * 4
    )

    with sent(impatient.port, [begun + b" " * (READ_AHEAD * 2)]) as (half,):
        told = answer(half)

    assert told.startswith(b"HTTP/1.1 408")
    assert b'"code": "too_slow"' in told


@pytest.mark.parametrize("is_long", [False, True], ids=["short", "long"])
def test_a_body_in_drops_ends_its_connection(impatient: Server, is_long: bool) -> None:
    """The client sends regularly, but does not finish in time."""
    length = READ_AHEAD * 4 if is_long else 1000
    begun = head("/import", JSON_LINES, impatient.service_key, content_length=length)
    begun += b" " * (READ_AHEAD * 2 if is_long else 0)

    with sent(impatient.port, [begun]) as (half,):
        half.settimeout(SILENT_S / 5)
        deadline, told = time.monotonic() + 30, b""
        while not told and time.monotonic() < deadline:
            half.sendall(b"x")
            try:
                told = half.recv(65536)
            except TimeoutError:
                continue

    assert told.startswith(b"HTTP/1.1 408")
    assert b'"code": "too_slow"' in told


def imported(server: Server, body: Any, **headers: str) -> dict[str, Any]:
    """The import of an uploaded body."""
    headers = {"Content-Type": JSON_LINES, **headers}
    started = server.client.request("POST", "/import", body, headers)
    assert started.status == 202, started.body
    found: dict[str, Any] = server.client.get(started.json["job"]["url"]).json
    return found


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_upload_arrives(server: Server, is_chunked: bool) -> None:
    job = imported(server, iter(ROWS) if is_chunked else FILE)

    assert len(FILE) > 20 * 2**20
    assert job["total"] == len(ROWS)


def test_a_large_form_arrives(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    login = f"service_key={server.service_key}&to=/imports"
    connection.request("POST", "/dashboard/login", login, {"Content-Type": FORM})
    signed_in = connection.getresponse()
    signed_in.read()
    cookie = signed_in.headers["Set-Cookie"].partition(";")[0]
    connection.request("GET", "/imports", headers={"Cookie": cookie})
    page = connection.getresponse().read().decode()
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found
    part = "--mark\r\nContent-Disposition: form-data; name="
    form = f'{part}"key"\r\n\r\n{found[1]}\r\n{part}"file"; filename="a.ndjson"\r\n\r\n'

    connection.request(
        "POST",
        "/imports",
        form.encode() + FILE + b"\r\n--mark--\r\n",
        {"Cookie": cookie, "Content-Type": "multipart/form-data; boundary=mark"},
    )
    answered = connection.getresponse()
    connection.close()

    assert answered.status == 303
    assert server.client.get(answered.headers["Location"]).json["total"] == len(ROWS)


def count_imports(server: Server) -> int:
    store = Datastore(f"sqlite:///{server.run_dir}/bottlepost.db")
    with store.read() as session:
        return session.scalars(select(func.count()).select_from(ImportJob)).one()


@pytest.mark.parametrize("rows", [1, 100], ids=["short", "long"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_truncated_upload_leaves_nothing(
    server: Server, is_chunked: bool, rows: int
) -> None:
    before = count_imports(server)
    content = b"".join(ROWS[:rows])
    how = (
        {"transfer_encoding": "chunked"}
        if is_chunked
        else {"content_length": len(content) + 1}
    )
    begun = head("/import", JSON_LINES, server.service_key, **how)

    with sent(server.port, [begun]) as (half,):
        half.sendall(chunk(content) if is_chunked else content)
        half.shutdown(socket.SHUT_WR)
        told = answer(half)

    assert told.startswith(b"HTTP/1.1 400")
    assert count_imports(server) == before


def test_an_upload_whose_client_vanishes_leaves_nothing(server: Server) -> None:
    before = count_imports(server)
    begun = head("/import", JSON_LINES, server.service_key, transfer_encoding="chunked")

    with sent(server.port, [begun]) as (half,):
        half.sendall(chunk(b"".join(ROWS[:500])))
        until(lambda: count_imports(server) > before)

    until(lambda: count_imports(server) == before)


@pytest.mark.parametrize("size", [READ_AHEAD + 1, 5 * 2**20])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_long_is_refused(
    server: Server, is_chunked: bool, size: int
) -> None:
    how = {"transfer_encoding": "chunked"} if is_chunked else {"content_length": size}
    begun = head("/users", JSON, server.service_key, connection="close", **how)

    with sent(server.port, [begun]) as (half,):
        # The server refuses it after this much.
        content = b" " * (READ_AHEAD + 1)
        half.sendall(chunk(content) if is_chunked else content)
        told = answer(half)

    assert told.startswith(b"HTTP/1.1 413")
    assert b'"code": "too_large"' in told


def test_a_connection_goes_on_after_each_body(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {
        "Authorization": f"Bearer {server.service_key}",
        "Content-Type": JSON_LINES,
    }

    used = set()
    for body in (b"".join(ROWS[:1]), FILE, iter(ROWS[:1]), iter(ROWS[:50])):
        connection.request("POST", "/import", body, headers)
        answered = connection.getresponse()
        answered.read()
        assert answered.status == 202
        used.add(connection.sock.getsockname() if connection.sock else None)
    connection.close()

    assert len(used) == 1
    assert None not in used


def test_half_requests_do_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    server = Server(tmp_path)
    half = head("/dashboard/login", FORM, content_length=1000) + b"key=1"

    with sent(server.port, [half] * 20):
        server.client.get("/healthz")
        status = server.stop()

    assert status == 0
    assert "Traceback" not in server.log()
    assert "Task" not in server.log()


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)

        def is_back() -> bool:
            try:
                return server.client.get("/healthz").status == 200
            except OSError:
                return False

        until(is_back)
        assert server.workers() != [worker]
