"""A TCP proxy in front of a Unix socket that can stop to forward, as a dead network."""

import asyncio
import threading
from contextlib import suppress

CHUNK = 65536
START_S = 10.0


class FrozenProxy:
    """Forwards connections to a Unix socket, on an event loop of its own thread.

    While it is frozen nothing is closed and nothing arrives: neither FIN nor RST tells
    a peer that the other side is gone.
    """

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(START_S), "the proxy did not start"

    def freeze(self) -> None:
        self._call(self._is_open.clear)

    def thaw(self) -> None:
        """Go on; what was sent meanwhile arrives late."""
        self._call(self._is_open.set)

    def thaw_new(self) -> None:
        """Forward new connections only: the old ones' server is gone for good.

        It ends what they began, and their clients never hear of it.
        """
        self._call(self._abandon)

    def close(self) -> None:
        self._call(self._loop.stop)
        self._thread.join(START_S)

    def _call(self, step: object) -> None:
        self._loop.call_soon_threadsafe(step)  # type: ignore[arg-type]

    def _run(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._server.close()
        with suppress(RuntimeError):
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self) -> None:
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._connections: set[_Connection] = set()
        self._abandoned: list[_Connection] = []
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._is_open.wait()
        connection = _Connection(self._is_open, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(self._socket_path)
        except asyncio.CancelledError:
            # The end of the proxy, which asyncio's streams would report.
            pass
        finally:
            self._connections.discard(connection)
            if not connection.is_abandoned:
                writer.close()

    def _abandon(self) -> None:
        for connection in self._connections:
            connection.abandon()
            # A reference keeps its socket open.
            self._abandoned.append(connection)
        self._is_open.set()


class _Connection:
    """A client's connection and ours to the server."""

    def __init__(
        self,
        is_open: asyncio.Event,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.is_abandoned = False
        self._is_open = is_open
        self._reader = reader
        self._writer = writer
        self._server: asyncio.StreamWriter | None = None

    async def run(self, socket_path: str) -> None:
        try:
            back, self._server = await asyncio.open_unix_connection(socket_path)
        except OSError:
            return
        both = [
            asyncio.create_task(self._pump(self._reader, self._server)),
            asyncio.create_task(self._pump(back, self._writer)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        self._server.close()

    def abandon(self) -> None:
        self.is_abandoned = True
        if self._server is not None:
            self._server.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._is_open.wait()
                if self.is_abandoned:
                    return
                writer.write(data)
                await writer.drain()
        # A dead network does not tell that a peer has closed.
        await self._is_open.wait()
