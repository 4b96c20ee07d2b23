"""Any frame in any state of a stream, once and without an end.

A frame that advances no request is allowed, but its number is limited.
"""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from notifier.http2 import Client, budget, connection
from tests.support import h2_client, h2_wire, tls
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer
from tests.support.h2_wire import (
    CONTINUATION,
    CONTINUE,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OK,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Wire,
    frame,
)

INITIAL_WINDOW_SIZE = 4
CALM = 11
PADDED = 8

ON_A_STREAM: dict[str, Callable[[int], bytes]] = {
    "empty data": lambda i: frame(DATA, 0, i),
    "a byte of data": lambda i: frame(DATA, 0, i, b"x"),
    "padding": lambda i: frame(DATA, PADDED, i, b"\xc8" + bytes(200)),
    "much data": lambda i: frame(DATA, 0, i, bytes(16_384)),
    "headers": lambda i: frame(HEADERS, END_HEADERS, i, OK),
    "long headers": lambda i: frame(
        HEADERS, END_HEADERS, i, OK + b"\x00\x01a\x7f\x81\x5e" + bytes(12_000)
    ),
    "interim headers": lambda i: frame(HEADERS, END_HEADERS, i, CONTINUE),
    "priority": lambda i: frame(PRIORITY, 0, i, bytes(5)),
    "reset": lambda i: frame(RST_STREAM, 0, i, bytes(4)),
    "refusal": lambda i: frame(RST_STREAM, 0, i, b"\0\0\0\7"),
    "push promise": lambda i: frame(PUSH_PROMISE, END_HEADERS, i, b"\0\0\0\2" + OK),
    "window update": lambda i: frame(WINDOW_UPDATE, 0, i, b"\0\0\0\1"),
    "continuation": lambda i: frame(CONTINUATION, 0, i),
    "unknown": lambda i: frame(0xF0, 0xFF, i, bytes(3)),
    "long unknown": lambda i: frame(0xF0, 0, i, bytes(16_384)),
}
ON_THE_CONNECTION: dict[str, bytes] = {
    "ping": frame(PING, 0, 0, b"12345678"),
    "ping ack": frame(PING, 1, 0, b"12345678"),
    "settings": frame(SETTINGS, 0, 0),
    "many settings": frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0" * 2000),
    "settings ack": frame(SETTINGS, 1, 0),
    "window update": frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
    "goaway": frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4)),
    "unknown": frame(0xF0, 0xFF, 0, bytes(3)),
    "origin": frame(0x0C, 0, 0, bytes(300)),
}


async def _open(wire: Wire) -> int:
    """Its body is not sent, because the window for bodies is closed."""
    await wire.greet({INITIAL_WINDOW_SIZE: 0})
    return await wire.request()


async def _half_closed(wire: Wire) -> int:
    await wire.greet()
    return await wire.request()


async def _answering(wire: Wire) -> int:
    """The response has begun."""
    stream_id = await _half_closed(wire)
    await wire.send(frame(HEADERS, END_HEADERS, stream_id, OK))
    return stream_id


async def _in_a_block(wire: Wire) -> int:
    """The headers of the response have begun."""
    stream_id = await _half_closed(wire)
    await wire.send(frame(HEADERS, 0, stream_id, OK))
    return stream_id


async def _closed(wire: Wire) -> int:
    stream_id = await _half_closed(wire)
    await wire.send(h2_wire.answer(stream_id))
    return stream_id


async def _reset_by_us(wire: Wire) -> int:
    """A body before its headers makes the client reset the stream."""
    stream_id = await _half_closed(wire)
    await wire.send(frame(DATA, 0, stream_id, b"x"))
    return stream_id


async def _reset_by_peer(wire: Wire) -> int:
    stream_id = await _half_closed(wire)
    await wire.send(frame(RST_STREAM, 0, stream_id, bytes(4)))
    return stream_id


async def _idle(wire: Wire) -> int:
    return await _half_closed(wire) + 100


async def _reserved(wire: Wire) -> int:
    """Only a PUSH_PROMISE could reserve it, and we allow none."""
    await _half_closed(wire)
    return 2


async def _before_the_preface(wire: Wire) -> int:
    return 1


STATES = {
    "open": _open,
    "half closed": _half_closed,
    "answering": _answering,
    "in a block": _in_a_block,
    "closed": _closed,
    "reset by us": _reset_by_us,
    "reset by the peer": _reset_by_peer,
    "idle": _idle,
    "reserved": _reserved,
    "before the preface": _before_the_preface,
}
ALL_FRAMES = [*ON_A_STREAM, *(f"{name}, stream 0" for name in ON_THE_CONNECTION)]


def _bytes_of(name: str, stream_id: int) -> bytes:
    if name in ON_A_STREAM:
        return ON_A_STREAM[name](stream_id)
    return ON_THE_CONNECTION[name.removesuffix(", stream 0")]


@asynccontextmanager
async def _client_of(script, **options):
    async with h2_wire.serve(script) as server:
        client = Client(server.url, tls=tls.client_context(), **options)
        try:
            yield server, client
        finally:
            await client.close()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ALL_FRAMES)
async def test_any_frame_without_an_end_is_ended(name, state):
    async def flood(wire: Wire) -> None:
        one = _bytes_of(name, await STATES[state](wire))
        while not wire.ended.is_set():
            await wire.send(one * (1 + 50_000 // len(one)))

    async with _client_of(flood, max_connections=1) as (server, client):
        sending = asyncio.create_task(h2_client.send(client, 1))
        async with asyncio.timeout(20):
            sent = await sending
            await server.wires[0].ended.wait()

    assert (state == "closed") <= (sent.statuses == {0: 200})
    assert server.wires[0].goaway is not None
    # After a GOAWAY of its own it may end in good order.
    assert server.wires[0].goaway or name.startswith("goaway")


# What one frame does where it advances nothing and breaks no rule.
HARMLESS = [
    *(
        (name, state)
        for name in ("empty data", "a byte of data", "padding", "headers", "reset")
        for state in ("closed", "reset by us", "reset by the peer")
    ),
    *(
        (name, state)
        for name in ("priority", "window update", "unknown", "long unknown")
        for state in STATES
        if state not in ("in a block", "before the preface", "idle", "reserved")
    ),
    *(
        (f"{name}, stream 0", state)
        for name in ON_THE_CONNECTION
        if name != "goaway"
        for state in STATES
        if state not in ("in a block", "before the preface")
    ),
    *((name, state) for name in ("priority", "unknown") for state in ("idle",)),
    ("interim headers", "half closed"),
    ("interim headers", "open"),
    ("empty data", "answering"),
    ("padding", "answering"),
]


@pytest.mark.parametrize(("name", "state"), HARMLESS)
async def test_one_frame_without_use_disturbs_nothing(name, state):
    async def once(wire: Wire) -> None:
        stream_id = await STATES[state](wire)
        await wire.send(_bytes_of(name, stream_id))
        # A stream that is still open gets its answer; trailers where it has begun.
        ends = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x01a\x01b")
        await wire.send(ends if state == "answering" else h2_wire.answer(1))
        await wire.send(h2_wire.answer(await wire.request()))

    async with _client_of(once) as (server, client):
        await h2_client.send(client, 1)
        sent = await h2_client.send(client, 1)

    assert sent.statuses == {0: 200}
    assert len(server.wires) == 1


async def test_many_answers_pay_for_the_frames_around_them():
    around = frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") + frame(PING, 0, 0, bytes(8))

    async def script(wire: Wire) -> None:
        await wire.greet()
        while True:
            stream_id = await wire.request()
            wider = frame(WINDOW_UPDATE, 0, stream_id, b"\0\0\0\1")
            await wire.send(wider + around + h2_wire.answer(stream_id))

    async with _client_of(script, max_connections=1) as (server, client):
        sent = await h2_client.send(client, 3 * budget.CAPACITY)

    assert sent.fault is None
    assert len(sent.answers) == 3 * budget.CAPACITY
    assert len(server.wires) == 1


async def test_a_peer_that_is_pinged_without_reading_costs_little_memory(monkeypatch):
    """It sends PINGs and does not take their answers."""
    unread: list[int] = []
    goaway = connection.frames.goaway

    def note(*arguments):
        unread.append(client._pool.connections[0]._transport.get_write_buffer_size())
        return goaway(*arguments)

    async def script(wire: Wire) -> None:
        await wire.greet()
        await wire.request()
        wire.writer.transport.pause_reading()
        while not wire.ended.is_set() and not wire.writer.is_closing():
            await wire.send(ON_THE_CONNECTION["ping"] * 3000)

    monkeypatch.setattr(connection.frames, "goaway", note)
    async with _client_of(script, max_connections=1) as (_, client):
        sent = await h2_client.send(client, 1)

    assert "flood" in sent.fault.reason
    assert unread[0] <= 17 * budget.CAPACITY + 10_000


async def test_a_peer_that_talks_and_never_answers_is_ended(monkeypatch):
    # Its frames come slowly enough for the budget.
    monkeypatch.setattr(budget, "PER_SECOND", 1e9)

    async def script(wire: Wire) -> None:
        await wire.greet()
        while True:
            await wire.send(ON_THE_CONNECTION["ping"] * 20)
            await wire.pongs(20)

    async with _client_of(script, max_connections=1, idle_ping_s=0.3) as talk:
        server, client = talk
        sent = await h2_client.send(client, 1)
        await server.wires[0].ended.wait()

    assert "no answer among them" in sent.fault.reason
    assert server.wires[0].goaway == CALM


async def test_an_idle_peer_that_only_talks_is_ended(monkeypatch):
    monkeypatch.setattr(budget, "PER_SECOND", 1e9)

    async def script(wire: Wire) -> None:
        await wire.greet()
        await wire.send(h2_wire.answer(await wire.request()))
        while True:
            await wire.send(ON_THE_CONNECTION["ping"] * 20)
            await wire.pongs(20)

    async with _client_of(script, max_connections=1, idle_ping_s=0.3) as talk:
        server, client = talk
        sent = await h2_client.send(client, 1)
        await server.wires[0].ended.wait()

    assert sent.statuses == {0: 200}
    assert server.wires[0].goaway == CALM


async def test_a_flood_leaves_other_connections_their_turns(monkeypatch):
    """Honest pushes come to their end before a flood of one write has been read."""
    monkeypatch.setattr(connection, "TURN_S", 0.0)
    order: list[str] = []

    async def flood(wire: Wire) -> None:
        await wire.greet()
        stream_id = await wire.request()
        ping = ON_THE_CONNECTION["ping"]
        await wire.send(ping * 3000 + h2_wire.answer(stream_id))

    async with _client_of(flood) as (_, hostile), talking_to(Peer()) as honest:
        await h2_client.send(honest, 1)

        async def push(client: Client, count: int, name: str) -> None:
            for _ in range(count):
                sent = await h2_client.send(client, 1)
                assert sent.statuses == {0: 200}
            order.append(name)

        await asyncio.gather(push(hostile, 1, "hostile"), push(honest, 20, "honest"))

    assert order == ["honest", "hostile"]


async def test_answers_that_wait_for_their_turn_survive_the_end_of_the_connection(
    monkeypatch,
):
    monkeypatch.setattr(connection, "TURN_S", 0.0)

    async def script(wire: Wire) -> None:
        await wire.greet()
        streams = [await wire.request() for _ in range(50)]
        # Each is decoded, because it is no plain 200.
        block = b"\x8d\x00\x01a\x01b"
        flags = END_HEADERS | END_STREAM
        await wire.send(b"".join(frame(HEADERS, flags, i, block) for i in streams))
        wire.writer.close()

    async with _client_of(script) as (_, client):
        sent = await h2_client.send(client, 50)

    assert sent.fault is None
    assert sent.statuses == dict.fromkeys(range(50), 404)
