"""`python server.py` as a process, over HTTP."""

import json
import socket
import subprocess
import sys

import pytest

from tests.support.server import ROOT, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("run")) as started:
        yield started


def test_message_goes_through_a_real_server(server):
    ann_id, ann = server.user("Ann")
    bob_id, bob = server.user("Bob")
    chat = ann.post("/groupchat", {"name": "Lunch", "members": [bob_id]}).json

    sent = ann.post("/groupchat/send", {"conversation": chat["id"], "message": "Noon?"})

    assert sent.status == 201
    page = bob.get(f"/groupchat/{chat['id']}/messages").json
    assert [(m["sender"], m["text"]) for m in page["messages"]] == [(ann_id, "Noon?")]


@pytest.mark.parametrize("path", ["/gr%e2%82%ac", "/%ff%fe", "/a%00b", "/%0d%0aX:1"])
def test_strange_address_is_a_plain_404(server, path):
    answer = server.client.get(path)

    assert (answer.status, answer.code) == (404, "not_found")


def test_chunked_body_is_read(server):
    chunked = server.client.request(
        "POST",
        "/users",
        iter([b'{"name"', b': "Ann"}']),
    )

    assert chunked.status == 201


@pytest.mark.parametrize(
    ("path", "media_type", "sent"),
    [
        ("/users/1/tokens", "application/json", b""),
        ("/users/1/tokens", "application/json", b"zz\r\n"),
        ("/users/1/tokens", "application/json", b'5\r\n{"exp'),
        ("/import", "application/x-ndjson", b"3\r\n{}\n\r\nzz\r\n"),
        ("/import", "application/x-ndjson", b"3\r\n{}\n\r\n"),
    ],
)
def test_body_that_breaks_off_in_chunks_does_nothing(server, path, media_type, sent):
    server.user("Ann")
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: Bearer {server.service_key}\r\n"
    head += f"Content-Type: {media_type}\r\n\r\n"

    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(head.encode() + sent)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1000)

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_too_large_body_is_413_over_the_wire(server):
    answer = server.client.request("POST", "/users", b" " * 70_000)

    assert (answer.status, answer.code) == (413, "too_large")


def test_half_a_request_does_not_keep_others_waiting(server):
    head = b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    head += f"Authorization: Bearer {server.service_key}\r\n".encode()
    head += b"Content-Type: application/json\r\n\r\n{"
    halves = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(16)]
    try:
        for half in halves:
            half.sendall(head)

        assert server.client.get("/healthz").status == 200
    finally:
        for half in halves:
            half.close()


def test_taken_port_is_one_clear_line(server, tmp_path):
    with Server(tmp_path, {"BOTTLEPOST_PORT": str(server.port)}, wait=False) as second:
        status = second.process.wait(60)

    assert status == 1
    assert second.log().splitlines() == [
        f"bottlepost: port {server.port} on 127.0.0.1: is taken by another program"
    ]


@pytest.mark.parametrize(
    ("variable", "value", "status"),
    [
        ("WORKERS", "many", 2),
        ("DISPATCHER", "pigeon", 2),
        ("DATABASE_URL", "nonsense", 2),
        ("DATABASE_URL", "pigeon://x/y", 2),
        ("DATABASE_URL", "sqlite://", 2),
        ("DATABASE_URL", "postgresql://me:pass@word@db/x", 2),
        ("DATABASE_URL", f"sqlite:///{__file__}", 2),
        ("DATABASE_URL", "sqlite:////nowhere/at/all/x.db", 1),
        ("DATABASE_URL", "postgresql+psycopg://127.0.0.1:1/x?connect_timeout=2", 1),
        ("HOST", "192.0.2.1", 1),
        ("JWT_AUDIENCE", "https://chat.example.org", 2),
    ],
)
def test_wrong_setting_is_one_clear_line(tmp_path, variable, value, status):
    with Server(tmp_path, {f"BOTTLEPOST_{variable}": value}, wait=False) as wrong:
        ended = wrong.process.wait(60)

    assert ended == status, wrong.log()
    (line,) = wrong.log().splitlines()
    assert line.startswith("bottlepost: ")
    assert status == 1 or f"BOTTLEPOST_{variable}" in line


def test_unusable_key_for_browsers_is_one_clear_line(tmp_path):
    (tmp_path / "key.pem").write_text("no key")
    environment = {
        "BOTTLEPOST_VAPID_SUBJECT": "mailto:ops@example.org",
        "BOTTLEPOST_VAPID_KEY_FILE": str(tmp_path / "key.pem"),
    }

    with Server(tmp_path, environment, wait=False) as wrong:
        ended = wrong.process.wait(60)

    assert ended == 2
    (line,) = wrong.log().splitlines()
    assert line.startswith("bottlepost: BOTTLEPOST_VAPID_KEY_FILE cannot be used: ")


def test_bad_file_of_kinds_is_one_clear_line(tmp_path):
    path = tmp_path / "kinds.json"
    path.write_text(json.dumps({"call": {"members": True}, "alarm": {"apns": 7}}))

    with Server(tmp_path, {"BOTTLEPOST_KINDS_FILE": str(path)}, wait=False) as wrong:
        ended = wrong.process.wait(60)

    assert ended == 2
    (line,) = wrong.log().splitlines()
    assert line.startswith("bottlepost: BOTTLEPOST_KINDS_FILE has a kind alarm: apns: ")


def test_kinds_of_a_file_are_there_after_the_start(tmp_path):
    path = tmp_path / "kinds.json"
    path.write_text(json.dumps({"call": {"members": True}}))

    environment = {"BOTTLEPOST_KINDS_FILE": str(path), "BOTTLEPOST_WORKERS": "3"}
    with Server(tmp_path, environment) as server:
        listed = server.client.get("/kinds").json["kinds"]

    assert [(kind["name"], kind["from_file"]) for kind in listed] == [("call", True)]
    assert "Traceback" not in server.log()


def test_server_ends_when_it_is_asked_to(tmp_path):
    server = Server(tmp_path)

    assert server.stop() == 0
    assert "Traceback" not in server.log()


def test_factory_makes_an_application_from_the_environment(tmp_path):
    code = "import server; print(type(server.create_app()).__name__)"
    environment = {
        "PYTHONPATH": str(ROOT),
        "BOTTLEPOST_RUN_DIR": str(tmp_path),
        "BOTTLEPOST_SERVICE_KEY": "k" * 16,
    }

    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert (made.returncode, made.stdout.strip()) == (0, "Application"), made.stderr


def test_limits_of_the_environment_are_kept(tmp_path):
    with Server(tmp_path, {"BOTTLEPOST_USER_SENDS_PER_MINUTE": "6"}) as server:
        _, ann = server.user("Ann")
        chat = ann.post("/groupchat", {"name": "Alone"}).json["id"]
        hello = {"conversation": chat, "message": "hello"}

        answers = [ann.post("/groupchat/send", hello) for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 429]


def test_many_long_polls_leave_room_for_others(server):
    _, ann = server.user("Ann")
    chat = ann.post("/groupchat", {"name": "Alone"}).json["id"]
    polls = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(80)]
    try:
        for poll in polls:
            poll.sendall(
                f"GET /groupchat/{chat}/messages?after=0&wait=20 HTTP/1.1\r\n"
                f"Host: x\r\nAuthorization: Bearer {ann.token}\r\n\r\n".encode()
            )

        sent = ann.post("/groupchat/send", {"conversation": chat, "message": "here"})

        assert sent.status == 201
        for poll in polls:
            poll.settimeout(60)
            assert poll.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        for poll in polls:
            poll.close()
