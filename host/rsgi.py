"""The RSGI application that granian calls."""

import asyncio
import io
import json
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable
from typing import IO, Any

from host import environ
from host.body import Body, Broken, Stream, Timeouts
from host.thread_pool import ThreadPool

# As many long bodies are read at once, each by a thread of its own beside the others.
STREAMS = 16
# As many more wait for their turn, with AHEAD bytes each.
QUEUE = 64
# After an answer its task may lie so long.
SETTLE_S = 0.25
RETRY_AFTER_S = 2

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class RsgiApp:
    """Receives requests on the event loop, and has threads answer them."""

    def __init__(
        self, app: WsgiApp, *, threads: int, timeouts: Timeouts | None = None
    ) -> None:
        self._app = app
        self._timeouts = timeouts or Timeouts()
        self._threads = ThreadPool(threads + STREAMS)
        self._streams = asyncio.Semaphore(STREAMS)
        self._queued = 0
        # Tasks whose requests are answered; see `_run`.
        self._answered: deque[Future[None]] = deque()
        self._running = 0
        self._is_settling = False

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._settle()
        loop.run_until_complete(asyncio.sleep(0))

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        headers = scope.headers
        length = headers.get("content-length")
        if length == "0" or (length is None and "transfer-encoding" not in headers):
            await self._run(scope, proto, io.BytesIO(), None)
            return
        try:
            await self._receive(scope, proto, None if length is None else int(length))
        except TimeoutError:
            _refuse(proto, 408, "too_slow", "The body did not come in time.")
        except Broken:
            _refuse(proto, 400, "bad_request", "The body ended early.")

    async def _receive(self, scope: Any, proto: Any, length: int | None) -> None:
        body = Body(aiter(proto), length, self._timeouts)
        ahead = await body.read_ahead()
        if body.is_whole:
            await self._run(scope, proto, io.BytesIO(ahead), len(ahead))
        elif self._queued == QUEUE or not await self._take_stream():
            _refuse(proto, 503, "unavailable", "Too many long bodies; try again.")
        else:
            try:
                stream = io.BufferedReader(Stream(ahead, body, self._loop))
                await self._run(scope, proto, stream, length, at_once=True)
            finally:
                self._streams.release()

    async def _take_stream(self) -> bool:
        self._queued += 1
        try:
            async with asyncio.timeout(self._timeouts.silent_s):
                return await self._streams.acquire()
        except TimeoutError:
            return False
        finally:
            self._queued -= 1

    async def _run(
        self,
        scope: Any,
        proto: Any,
        body: IO[bytes],
        length: int | None,
        *,
        at_once: bool = False,
    ) -> None:
        """Returns when a thread has answered: granian takes an earlier end for a 500.

        But nobody waits for us then, and to wake the loop for each request costs more
        than to look, with the next request, which ones have been answered.
        """
        self._settle()
        answered: Future[None] = self._loop.create_future()

        def answer() -> None:
            try:
                self._answer(environ.build(scope, body, length), proto)
            finally:
                self._answered.append(answered)
                if at_once:
                    self._loop.call_soon_threadsafe(self._settle)

        self._threads.run(answer)
        self._running += 1
        if not self._is_settling:
            self._is_settling = True
            self._loop.call_later(SETTLE_S, self._settle_later)
        await answered
        self._running -= 1

    def _settle(self) -> None:
        while self._answered:
            self._answered.popleft().set_result(None)

    def _settle_later(self) -> None:
        self._settle()
        self._is_settling = self._running > 0
        if self._is_settling:
            self._loop.call_later(SETTLE_S, self._settle_later)

    def _answer(self, called: dict[str, Any], proto: Any) -> None:
        """In a thread; granian takes the answer from any."""
        head: list[Any] = []
        content: list[bytes] = []

        def start(status: str, headers: list[Any], exc_info: Any = None) -> Any:
            head[:] = int(status[:3]), headers
            return content.append

        chunks = self._app(called, start)
        try:
            content.extend(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        proto.response_bytes(*head, b"".join(content))


def _refuse(proto: Any, status: int, code: str, message: str) -> None:
    """In the API's format, to a client whose body we do not go on reading."""
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    if status == 503:
        headers.append(("Retry-After", str(RETRY_AFTER_S)))
    error = {"code": code, "message": message, "details": {}}
    proto.response_str(status, headers, json.dumps({"error": error}))
