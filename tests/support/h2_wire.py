"""An HTTP/2 server written on bytes: it sends any frame in any state of a stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support import tls

PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
(
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
) = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
# ":status: 200" from the static table, and an interim answer.
OK = b"\x88"
CONTINUE = b"\x08\x03100"


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + stream_id.to_bytes(4, "big") + payload


def settings(values: dict[int, int] | None = None) -> bytes:
    pairs = (values or {}).items()
    packed = b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in pairs)
    return frame(SETTINGS, 0, 0, packed)


def answer(stream_id: int) -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream_id, OK)


@dataclass
class Wire:
    """One connection, after its TLS handshake."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    # The error code of the client's GOAWAY.
    goaway: int | None = None
    # The error codes of its RST_STREAMs, by stream.
    resets: dict[int, int] = field(default_factory=dict)
    # The types of all its frames.
    kinds: list[int] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _requests: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)
    _pongs: "asyncio.Queue[None]" = field(default_factory=asyncio.Queue)

    async def read_frames(self) -> None:
        """Read all that the client sends, until it closes the connection."""
        try:
            await self.reader.readexactly(PREFACE)
            while True:
                head = await self.reader.readexactly(9)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self._note(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
        except (asyncio.IncompleteReadError, OSError):
            self.ended.set()

    def _note(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        self.kinds.append(kind)
        if kind == HEADERS:
            self._requests.put_nowait(stream_id)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == PING:
            self._pongs.put_nowait(None)
        elif kind == RST_STREAM:
            self.resets[stream_id] = int.from_bytes(payload, "big")

    async def request(self) -> int:
        """The stream of the next request, as soon as its headers have arrived."""
        return await self._requests.get()

    async def pongs(self, count: int) -> None:
        """Wait until the client has answered so many more PINGs."""
        for _ in range(count):
            await self._pongs.get()

    async def send(self, data: bytes) -> None:
        """Send all of it, or as much as the client reads before it closes."""
        try:
            self.writer.write(data)
            await self.writer.drain()
            # drain() returns at once while there is room.
            await asyncio.sleep(0)
        except OSError:
            self.ended.set()

    async def greet(self, values: dict[int, int] | None = None) -> None:
        await self.send(settings(values) + frame(SETTINGS, ACK, 0))


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class WireServer:
    """The server; each connection runs the script, which gets the wire."""

    script: Script
    port: int = 0
    wires: list[Wire] = field(default_factory=list)
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        wire = Wire(reader, writer)
        self.wires.append(wire)
        # Kept, because the loop itself holds tasks weakly.
        self.tasks.append(asyncio.ensure_future(wire.read_frames()))
        self.tasks.append(asyncio.ensure_future(self.script(wire)))  # type: ignore[arg-type]


@asynccontextmanager
async def serve(script: Script) -> AsyncIterator[WireServer]:
    """The server behind TLS on a free port of the loopback."""
    server = WireServer(script)
    listener = await asyncio.start_server(
        server._serve, "127.0.0.1", 0, ssl=tls.server_context()
    )
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        for wire in server.wires:
            wire.writer.transport.abort()
