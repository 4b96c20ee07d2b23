"""An HTTP/1.1 server written on bytes, behind TLS: it answers anything, or nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.support import tls

OK = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Wire:
    """One connection, after its TLS handshake."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "H1Server"

    async def request(self) -> tuple[str, dict[str, str], bytes]:
        """The next request's first line, its fields and its body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        self.server.requests.append((first, fields, body))
        return first, fields, body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        # drain() returns at once while there is room.
        await asyncio.sleep(0)

    async def until_closed(self) -> None:
        while await self.reader.read(65_536):
            pass


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class H1Server:
    """The server; each connection runs the script."""

    script: Script
    port: int = 0
    wires: list[Wire] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        wire = Wire(reader, writer, self)
        self.wires.append(wire)
        # Kept, because the loop itself holds tasks weakly.
        self.tasks.append(asyncio.ensure_future(self._run(wire)))

    async def _run(self, wire: Wire) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            await self.script(wire)


def answering(*answers: bytes) -> Script:
    """A script that gives these answers in turn, then the last one again."""
    left = list(answers)

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(left.pop(0) if len(left) > 1 else left[0])

    return script


@asynccontextmanager
async def serve(
    script: Script, *, alpn: tuple[str, ...] = ("http/1.1",)
) -> AsyncIterator[H1Server]:
    """The server on a free port of the loopback."""
    server = H1Server(script)
    listener = await asyncio.start_server(
        server._serve, "127.0.0.1", 0, ssl=tls.server_context(alpn=alpn)
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
