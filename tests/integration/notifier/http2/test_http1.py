"""Servers that have no HTTP/2: what they may answer, and what they may not do."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvloop

from notifier.http2 import Client, Head, Request, literal
from notifier.outcome import ChannelDown
from tests.support import connect_proxy, h1_server, h2_client, tls
from tests.support.connect_proxy import Proxy
from tests.support.h1_server import OK, Wire, answering


@asynccontextmanager
async def _client_of(script, *, alpn=("http/1.1",), **options):
    async with h1_server.serve(script, alpn=alpn) as server:
        given = {"http1": True, "max_connections": 1, **options}
        client = Client(server.url, tls=tls.client_context(), **given)
        try:
            yield server, client
        finally:
            await client.close()


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_request_arrives_as_it_was_given(run, alpn):
    async def push():
        async with _client_of(answering(OK), alpn=alpn) as (server, client):
            head = Head((("content-encoding", "aes128gcm"),))
            fields = literal("ttl", "60") + literal("urgency", "high")
            request = Request(b"\x00\xffbody", b"/up/token?x=1", fields)
            response = await client.fetch(head, request)
            return server, response

    server, response = run(push())

    assert response.status == 201
    ((first, fields, body),) = server.requests
    assert first == "POST /up/token?x=1 HTTP/1.1"
    assert body == b"\x00\xffbody"
    assert fields == {
        "host": f"localhost:{server.port}",
        "content-encoding": "aes128gcm",
        "ttl": "60",
        "urgency": "high",
        "content-length": "6",
    }


async def test_many_requests_share_one_connection_one_after_the_other():
    async with _client_of(answering(OK)) as (server, client):
        sent = await h2_client.send(client, 50)

    assert len(sent.answers) == 50
    assert [first.split()[1] for first, *_ in server.requests] == [
        f"/{n}" for n in range(50)
    ]
    assert len(server.wires) == 1
    assert client.answers == 50


async def test_several_connections_are_opened_where_they_are_allowed():
    both = asyncio.Barrier(2)

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            if 1 < len(wire.server.requests) <= 3:
                # The second and the third are answered only together.
                await both.wait()
            await wire.send(OK)

    async with _client_of(script, max_connections=2) as (server, client):
        # Another connection is opened only to a peer that has answered.
        await h2_client.send(client, 1)
        sent = await h2_client.send(client, 6)

    assert len(sent.answers) == 6
    assert len(server.wires) == 2


async def test_only_the_addresses_of_the_resolver_are_connected_to():
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    async with h1_server.serve(answering(OK)) as server:
        # Its certificate names it, and no system knows the name.
        url = f"https://server.test:{server.port}"
        client = Client(url, tls=tls.client_context(), http1=True, resolve=resolve)
        sent = await h2_client.send(client, 2)
        await client.close()

    assert len(sent.answers) == 2
    assert asked == [("server.test", server.port)]


@pytest.mark.parametrize(
    ("answer", "status", "fields", "body"),
    [
        (OK, 201, {"content-length": "0"}, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, {}, b""),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
            404,
            {"content-length": "4"},
            b"gone",
        ),
        (
            b"HTTP/1.1 410\r\ncontent-length:0\r\n\r\n",
            410,
            {"content-length": "0"},
            b"",
        ),
        (
            b"HTTP/1.1 429 Slow\r\nRETRY-AFTER: 30\r\nContent-Length: 0\r\n\r\n",
            429,
            {"retry-after": "30", "content-length": "0"},
            b"",
        ),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: https://other.test\r\n"
            b"Content-Length: 0\r\n\r\n",
            301,
            {"location": "https://other.test", "content-length": "0"},
            b"",
        ),
        (
            b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
            500,
            {"transfer-encoding": "chunked"},
            b"abcde",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n"
            b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
            201,
            {"content-length": "0"},
            b"",
        ),
    ],
    ids=["201", "204", "404", "410", "429", "301", "chunked", "interim"],
)
@pytest.mark.parametrize("cut", [None, 1, 7], ids=["whole", "bytes", "pieces"])
async def test_answers_are_read_however_they_are_cut(answer, status, fields, body, cut):
    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            for start in range(0, len(answer), cut or len(answer)):
                await wire.send(answer[start : start + (cut or len(answer))])

    async with _client_of(script) as (server, client):
        sent = await h2_client.send(client, 2)

    assert sent.fault is None
    for response in sent.answers.values():
        assert response.status == status
        assert dict(response.headers) == fields
        assert response.body == body
    assert len(server.wires) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 201 Created\r\n\r\nbody",
        b"HTTP/1.1 201 Created\r\n\r\nbody",
        b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody",
    ],
    ids=["HTTP/1.0", "no length", "Connection: close"],
)
async def test_a_connection_that_is_not_kept_is_replaced(answer):
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(answer)
        wire.writer.close()

    async with _client_of(script) as (server, client):
        sent = await h2_client.send(client, 2)

    assert sent.fault is None
    assert {(r.status, r.body) for r in sent.answers.values()} == {(201, b"body")}
    assert len(server.wires) == 2


@pytest.mark.parametrize(
    ("beginning", "repeated"),
    [
        (b"HTTP/1.1 201 Created\r\n", b"X-Field: and one more\r\n"),
        (b"HTTP/1.1 201 Created\r\nX-Field: ", b"without an end"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"HTTP/1.1 201 Created\r\n\r\n", b"body" * 1000),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 999999999\r\n\r\n", b"body" * 1000),
        (
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
        ),
        (
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            b"an extension of the chunk",
        ),
        (
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X-Trailer: and one more\r\n",
        ),
        (b"", b"\r\n"),
        (b"", b"no HTTP at all"),
    ],
    ids=[
        "fields",
        "a field",
        "interim answers",
        "a body",
        "a long body",
        "small chunks",
        "a chunk's head",
        "trailers",
        "empty lines",
        "garbage",
    ],
)
async def test_an_answer_without_an_end_is_ended(beginning, repeated):
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(beginning)
        while True:
            await wire.send(repeated * (1 + 5000 // len(repeated)))

    async with _client_of(script) as (server, client):
        async with asyncio.timeout(20):
            sent = await h2_client.send(client, 1)
            await asyncio.wait(server.tasks)

    assert sent.answers == {}
    assert "protocol broken" in sent.fault.reason


@pytest.mark.parametrize(
    "answer",
    [
        b"\x16\x03\x01\x02\x00",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 Strange\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nshort",
        b"",
    ],
    ids=list("abcdefghij"),
)
async def test_garbage_is_no_answer(answer):
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(answer)
        wire.writer.close()

    async with _client_of(script) as (_, client):
        sent = await h2_client.send(client, 1)

    assert sent.answers == {}
    assert isinstance(sent.fault, ChannelDown)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 201", b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n1"],
)
async def test_a_slow_answer_ends_at_the_deadline(beginning):
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(beginning)
        await wire.until_closed()

    async with _client_of(script, request_timeout_s=0.3) as (server, client):
        sent = await h2_client.send(client, 1)
        await asyncio.wait(server.tasks)

    assert sent.answers == {}
    assert "no answer within 0.3 s" in sent.fault.reason


async def test_a_request_that_meets_a_closed_connection_is_sent_again():
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        if len(wire.server.wires) == 1:
            # It closes the kept connection when the next request has been sent.
            await wire.request()
            wire.writer.close()
            return
        await wire.request()
        await wire.send(OK)

    async with _client_of(script) as (server, client):
        sent = await h2_client.send(client, 3)

    assert sent.statuses == {0: 201, 1: 201, 2: 201}
    paths = [first.split()[1] for first, *_ in server.requests]
    assert paths == ["/0", "/1", "/1", "/2"]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 201 Cre"], ids=["nothing", "a part"])
async def test_a_request_that_may_have_been_processed_is_not_sent_again(said):
    async def script(wire: Wire) -> None:
        if said:
            await wire.request()
            await wire.send(OK)
        await wire.request()
        await wire.send(said)
        wire.writer.close()

    async with _client_of(script) as (server, client):
        sent = await h2_client.send(client, 2 if said else 1)

    assert len(sent.answers) == len(server.requests) - 1
    assert "closed by the peer" in sent.fault.reason or "broken" in sent.fault.reason


async def test_an_idle_connection_is_closed():
    async with _client_of(answering(OK), idle_ping_s=0.1) as (server, client):
        await h2_client.send(client, 1)
        await asyncio.wait(server.tasks)
        again = await h2_client.send(client, 1)

    assert again.statuses == {0: 201}
    assert len(server.wires) == 2


async def test_a_408_on_an_idle_connection_is_the_answer_to_nothing():
    idle = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(OK)
        if len(wire.server.wires) == 1:
            await idle.wait()
            await wire.send(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")
        await wire.until_closed()

    async with _client_of(script) as (server, client):
        await h2_client.send(client, 1)
        idle.set()
        await asyncio.wait(server.tasks)
        sent = await h2_client.send(client, 1)

    assert sent.statuses == {0: 201}


async def test_more_than_an_answer_is_no_second_answer():
    async with _client_of(answering(OK + OK.replace(b"201", b"410"))) as (_, client):
        sent = await h2_client.send(client, 3)

    assert sent.statuses == {0: 201, 1: 201, 2: 201}


@pytest.mark.parametrize("path", [b"/a b", b"/a\r\nX: 1", b"/\x00", "/ü".encode()])
async def test_a_path_cannot_begin_another_request(path):
    async with _client_of(answering(OK)) as (server, client):
        with pytest.raises(ChannelDown, match="not a valid request"):
            await client.fetch(h2_client.HEAD, Request(b"x", path))
        sent = await h2_client.send(client, 1)

    assert sent.statuses == {0: 201}
    assert len(server.requests) == 1


async def test_only_http2_is_spoken_where_it_is_required():
    async with _client_of(answering(OK), http1=False) as (server, client):
        sent = await h2_client.send(client, 1)

    assert "HTTP/2" in sent.fault.reason
    assert server.requests == []


async def test_it_passes_through_a_proxy():
    async with connect_proxy.serve(Proxy()) as proxy:
        route = f"http://127.0.0.1:{proxy.port}"
        async with _client_of(answering(OK), proxy_url=route) as (_, client):
            sent = await h2_client.send(client, 3)

    assert len(sent.answers) == 3
