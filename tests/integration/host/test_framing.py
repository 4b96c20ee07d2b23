"""Requests that a proxy in front may understand otherwise than we do."""

from collections.abc import Iterator

import pytest

from tests.support.partial_requests import answer, sent
from tests.support.server import Server

GET = b"GET /healthz HTTP/1.1\r\n"
POST = b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKS = b"\r\n2\r\n{}\r\n0\r\n\r\n"

# Refused by us, with an error in our format.
OURS = {
    "no host": GET + b"\r\n",
    "two hosts": GET + b"Host: a\r\nHost: b\r\n\r\n",
    "the same host twice": GET + b"Host: a\r\nhost: a\r\n\r\n",
    "two hosts, HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "a host with a space": GET + b"Host: a b\r\n\r\n",
    "a host with a path": GET + b"Host: a/b\r\n\r\n",
    "a list of hosts": GET + b"Host: a, b/\r\n\r\n",
    "another host in the address": b"GET http://b/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKS,
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\n" * 2 + CHUNKS,
}
# Refused by the web server, before we see them.
MALFORMED = {
    "folded": GET + b"Host: x\r\nX-A: b\r\n c\r\n\r\n",
    "folded with a tab": GET + b"Host: x\r\nX-A: b\r\n\tc\r\n\r\n",
    "a space before the first name": GET + b" Host: x\r\nHost: x\r\n\r\n",
    "a space before the colon": GET + b"Host: x\r\nX-A : b\r\n\r\n",
    "no name": GET + b"Host: x\r\n: b\r\n\r\n",
    "no colon": GET + b"Host: x\r\nX-A\r\n\r\n",
    "a bare CR": GET + b"Host: x\r\nX-A: b\rc\r\n\r\n",
    "NUL": GET + b"Host: x\r\nX-A: b\0c\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "an empty length": POST + b"Content-Length: \r\n\r\n{}",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n{}",
    "chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n" + CHUNKS,
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n" + CHUNKS,
    "chunked with a VT": POST + b"Transfer-Encoding: \x0bchunked\r\n" + CHUNKS,
    "HTTP/1.0 in chunks": POST.replace(b"1.1", b"1.0", 1)
    + b"Transfer-Encoding: chunked\r\n"
    + CHUNKS,
    "bare LF in chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "bare LF after a size": POST
    + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "bare LF in an extension": POST
    + b"Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.mark.parametrize("request_sent", OURS.values(), ids=OURS)
def test_an_ambiguous_request_is_refused(server: Server, request_sent: bytes) -> None:
    with sent(server.port, [request_sent]) as [connection]:
        answered = answer(connection)

    assert b" 400 Bad Request\r\n" in answered
    assert b'"bad_request"' in answered
    assert b"nosniff" in answered


@pytest.mark.parametrize("request_sent", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_ends_its_connection(
    server: Server, request_sent: bytes
) -> None:
    follows = GET + b"Host: x\r\n\r\n"
    with sent(server.port, [request_sent + follows]) as [connection]:
        answered = answer(connection)

    assert answered.startswith(b"HTTP/1.1 400 ")
    assert answered.count(b"HTTP/1.1 ") == 1


def test_what_follows_a_request_with_length_and_chunks_is_not_read(
    server: Server,
) -> None:
    both = POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" + CHUNKS
    with sent(server.port, [both + GET + b"Host: x\r\n\r\n"]) as [connection]:
        answered = answer(connection)

    assert answered.count(b"HTTP/1.1 ") == 1


def test_an_old_client_needs_no_host(server: Server) -> None:
    with sent(server.port, [b"GET /healthz HTTP/1.0\r\n\r\n"]) as [connection]:
        assert b" 200 " in answer(connection)


@pytest.mark.parametrize(
    "host", ["x", "chat.example:8080", "[::1]:80", "127.0.0.1", ""]
)
def test_an_ordinary_host_is_taken(server: Server, host: str) -> None:
    request = GET + f"Host: {host}\r\nConnection: close\r\n\r\n".encode()
    with sent(server.port, [request]) as [connection]:
        assert b" 200 " in answer(connection)
