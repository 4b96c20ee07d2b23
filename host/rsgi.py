"""The RSGI application that granian calls."""

import asyncio
import io
import json
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable
from typing import IO, Any

from host import environ
from host.body import BlockingBody, BodyReader, BodyTruncated, Timeouts
from host.lane import Lane
from host.thread_pool import ThreadPool

# Long bodies that are read at once, each by an additional thread.
MAX_STREAMS = 16
# Long bodies that wait for such a thread, each with READ_AHEAD bytes in memory.
MAX_QUEUED = 64
# Requests with short bodies that may write, and run at once. If nothing can be written,
# they wait in these threads, and the others answer those that read.
MAX_WRITES = 16
READING = ("GET", "HEAD", "OPTIONS")
# The tasks of answered requests end at this interval at the latest.
SETTLE_S = 0.25
RETRY_AFTER_S = 2

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class RsgiApp:
    """Receives requests on the event loop, and answers them in threads."""

    def __init__(
        self, app: WsgiApp, *, threads: int, timeouts: Timeouts | None = None
    ) -> None:
        self._app = app
        self._timeouts = timeouts or Timeouts()
        self._threads = ThreadPool(threads + MAX_STREAMS + MAX_WRITES)
        self._writes = Lane(self._threads, MAX_WRITES)
        self._streams = asyncio.Semaphore(MAX_STREAMS)
        self._queued = 0
        # The futures of answered requests; see `_run`.
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
        if scope.http_version == "1.1" and len(headers.get_all("host")) != 1:
            # A proxy in front may have gone by another Host than we would.
            _refuse(proto, 400, "bad_request", "The request needs exactly one Host.")
            return
        length = headers.get("content-length")
        if length == "0" or (length is None and "transfer-encoding" not in headers):
            await self._run(scope, proto, io.BytesIO(), None)
            return
        try:
            await self._receive(scope, proto, None if length is None else int(length))
        except TimeoutError:
            _refuse(proto, 408, "too_slow", "The body did not come in time.")
        except BodyTruncated:
            _refuse(proto, 400, "bad_request", "The body ended early.")

    async def _receive(self, scope: Any, proto: Any, length: int | None) -> None:
        body = BodyReader(aiter(proto), length, self._timeouts)
        ahead = await body.read_ahead()
        if body.is_complete:
            await self._run(scope, proto, io.BytesIO(ahead), len(ahead))
        elif self._queued == MAX_QUEUED or not await self._take_stream():
            _refuse(
                proto, 503, "unavailable", "Too many large requests at once; try again."
            )
        else:
            try:
                stream = io.BufferedReader(BlockingBody(ahead, body, self._loop))
                await self._run(scope, proto, stream, length, wake_loop=True)
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
        wake_loop: bool = False,
    ) -> None:
        """Return after a thread has answered; if it ends earlier, granian sends a 500.

        Nothing else waits for this task, and waking the loop for each request is
        expensive. So the next request, or a timer, ends the tasks of answered ones.
        """
        self._settle()
        answered: Future[None] = self._loop.create_future()

        def answer() -> None:
            try:
                self._answer(environ.build(scope, body, length), proto)
            finally:
                self._answered.append(answered)
                if wake_loop:
                    self._loop.call_soon_threadsafe(self._settle)

        # A long body has a thread of its own.
        is_free = scope.method in READING or wake_loop
        (self._threads if is_free else self._writes).run(answer)
        self._running += 1
        if not self._is_settling:
            self._is_settling = True
            self._loop.call_later(SETTLE_S, self._settle_later)
        await answered
        self._running -= 1

    def _settle(self) -> None:
        """End the tasks of answered requests."""
        while self._answered:
            self._answered.popleft().set_result(None)

    def _settle_later(self) -> None:
        self._settle()
        self._is_settling = self._running > 0
        if self._is_settling:
            self._loop.call_later(SETTLE_S, self._settle_later)

    def _answer(self, request: dict[str, Any], proto: Any) -> None:
        """Call the WSGI application in a thread; granian accepts responses from any."""
        head: list[Any] = []
        content: list[bytes] = []

        def start(status: str, headers: list[Any], exc_info: Any = None) -> Any:
            head[:] = int(status[:3]), headers
            return content.append

        chunks = self._app(request, start)
        try:
            content.extend(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        proto.response_bytes(*head, b"".join(content))


def _refuse(proto: Any, status: int, code: str, message: str) -> None:
    """Send an error in the API's format, and close the connection."""
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
    ]
    if status == 503:
        headers.append(("Retry-After", str(RETRY_AFTER_S)))
    error = {"code": code, "message": message, "details": {}}
    proto.response_str(status, headers, json.dumps({"error": error}))
