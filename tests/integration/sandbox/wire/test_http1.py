"""HTTP/1.1, as curl, browsers and Google's own libraries use it."""

import json
import socket
import ssl
from http.client import HTTPSConnection, RemoteDisconnected

import pytest

from tests.support.provider_tokens import SEND, FcmSender
from tests.support.sandbox import Sandbox


@pytest.fixture
def plain(sandbox: Sandbox) -> HTTPSConnection:
    return HTTPSConnection("127.0.0.1", sandbox.port, timeout=15, context=sandbox.tls)


def send(plain: HTTPSConnection, fcm: FcmSender, token: str) -> int:
    """Send a message over HTTP/1.1; returns the status."""
    body = json.dumps({"message": {"token": token}})
    plain.request("POST", SEND, body, {"authorization": f"Bearer {fcm.token}"})
    answer = plain.getresponse()
    answer.read()
    return answer.status


def test_google_takes_messages(
    sandbox: Sandbox, plain: HTTPSConnection, fcm: FcmSender
) -> None:
    statuses = [send(plain, fcm, token) for token in ("a", "unregistered-1", "b")]

    assert statuses == [200, 404, 200]
    assert [push["token"] for push in sandbox.inbox()] == ["a", "b"]


def test_slow_is_slow(sandbox: Sandbox, plain: HTTPSConnection, fcm: FcmSender) -> None:
    sandbox.control(slow_s=0.1)

    assert [send(plain, fcm, token) for token in ("slow-1", "slow-body-1")] == [
        200,
        404,
    ]


@pytest.mark.parametrize("token", ["cut-1", "reset-1", "lost-answer-1"])
def test_cut_is_cut(plain: HTTPSConnection, fcm: FcmSender, token: str) -> None:
    with pytest.raises((RemoteDisconnected, ConnectionError, ssl.SSLError)):
        send(plain, fcm, token)


def test_unusual_status_is_written(plain: HTTPSConnection, fcm: FcmSender) -> None:
    assert send(plain, fcm, "answer-499-x") == 499


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("rubbish\r\n\r\n", 400),
        ("GET inbox HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("POST /control HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        ("POST /control HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", 413),
        ("POST /control HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\nx: " + "y" * 40_000, 431),
        ("GET /stats HTTP/1.0\r\n\r\n", 200),
        ("GET /stats HTTP/1.1\r\nconnection: close\r\n\r\n", 200),
    ],
)
def test_request_is_answered_and_the_connection_closed(
    sandbox: Sandbox, request_text: str, status: int
) -> None:
    raw = socket.create_connection(("127.0.0.1", sandbox.port), 15)
    with sandbox.tls.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
        connection.sendall(request_text.encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_requests_may_come_in_pieces_and_in_pairs(sandbox: Sandbox) -> None:
    text = b"GET /stats HTTP/1.1\r\n\r\n" * 2 + b"GET /stats HTTP/1.0\r\n\r\n"
    raw = socket.create_connection(("127.0.0.1", sandbox.port), 15)
    with sandbox.tls.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
        for start in range(0, len(text), 11):
            connection.sendall(text[start : start + 11])
        answer = b""
        while piece := connection.recv(65536):
            answer += piece

    assert answer.count(b"HTTP/1.1 200 OK") == 3
