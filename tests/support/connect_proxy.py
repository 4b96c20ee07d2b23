"""A small HTTP proxy that supports CONNECT, with or without a password."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """A proxy that records the targets of its requests."""

    credentials: str | None = None
    targets: list[str] = field(default_factory=list)
    # Sent instead of its normal response.
    answer: bytes | None = None
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        self.targets.append(target)
        if self.answer is not None:
            writer.write(self.answer)
            writer.close()
        elif method != "CONNECT" or not self._is_authorized(head):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
        else:
            await self._tunnel(target, reader, writer)

    def _is_authorized(self, head: str) -> bool:
        if self.credentials is None:
            return True
        expected = base64.b64encode(self.credentials.encode()).decode()
        return f"\r\nProxy-Authorization: Basic {expected}\r\n" in head

    async def _tunnel(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, port = target.rsplit(":", 1)
        upstream, upstream_writer = await asyncio.open_connection(host, int(port))
        self.writers.append(upstream_writer)
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
        for source, sink in ((reader, upstream_writer), (upstream, writer)):
            self._start(_pump(source, sink))

    def _start(self, work: "asyncio.Future[None]") -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


@asynccontextmanager
async def serve(proxy: Proxy) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy.tasks):
            task.cancel()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)
        for writer in proxy.writers:
            writer.transport.abort()
        await asyncio.sleep(0)
