"""The RSGI application that granian calls."""

import asyncio
import io
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import IO, Any

from bottlepost.logs import request_ids
from host import environ, framing
from host.answers import LONG, Answers
from host.body import BlockingBody, BodyReader, BodyTruncated, Timeouts
from host.exchange import Exchange, Record
from host.lane import Lane
from host.places import PLACES, Places
from host.shares import Bounds, Client
from host.thread_pool import ThreadPool
from host.watcher import Patience, Watcher

# Requests with short bodies that may write, and run at once. If nothing can be written,
# they wait in these threads, and the others answer those that read.
WRITES = Bounds(total=16, address=16, caller=8)
# Requests of one caller that only read and run at once, waiting long polls included.
# Each thread that is busy holds up all others, because Python runs one at a time.
READS_OF_A_CALLER = 8
READING = ("GET", "HEAD", "OPTIONS")
# The tasks of answered requests end at this interval at the latest.
SETTLE_S = 0.25
# A piece of a long answer; its thread must not wait for ever.
LONGEST_SEND_S = 120.0

# Without another number, connections are not limited.
MANY = 1_000_000

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Clients:
    """Tells requests of different clients apart; by their connection's address."""

    def identify(self, peer: str, headers: Any) -> Client:
        return Client(peer, caller_of(headers), name=peer)

    def is_proxy(self, peer: str) -> bool:
        """Whether an address speaks for many clients."""
        return False

    def more_headers(self, headers: Any) -> list[tuple[str, str]]:
        """What our own answers to a request with these headers have more."""
        return []


def caller_of(headers: Any) -> str:
    """A digest of a request's credentials."""
    credentials = headers.get("authorization") or headers.get("cookie") or ""
    return sha256(credentials.encode()).hexdigest() if credentials else ""


class RsgiApp:
    """Receives requests on the event loop, and answers them in threads."""

    def __init__(
        self,
        app: WsgiApp,
        *,
        threads: int,
        connections: int = MANY,
        clients: Clients | None = None,
        timeouts: Timeouts | None = None,
        patience: Patience | None = None,
        record: Record | None = None,
    ) -> None:
        self._app = app
        # Takes each request that has been answered, for the access log.
        self._record = record
        self._clients = clients or Clients()
        self._timeouts = timeouts or Timeouts()
        self._threads = ThreadPool(threads + PLACES.total + WRITES.total)
        reads = Bounds(total=threads, address=threads // 2, caller=READS_OF_A_CALLER)
        self._reads = Lane(self._threads, reads)
        self._writes = Lane(self._threads, WRITES)
        self._places = Places()
        self._answers = Answers()
        # The connections whose request has been received and not been answered.
        self._busy: set[str] = set()
        self._watcher = Watcher(
            self._answers,
            most=connections,
            patience=patience or Patience(),
            is_busy=self._busy.__contains__,
            is_proxy=self._clients.is_proxy,
        )
        # The futures of answered requests; see `_run`.
        self._answered: deque[Future[None]] = deque()
        self._running = 0
        self._is_settling = False

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # The web server listens when its loop begins to run.
        loop.call_soon(self._watcher.start)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._settle()
        loop.run_until_complete(asyncio.sleep(0))

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        exchange = Exchange(scope, proto, self._record, self._clients.more_headers)
        if (wrong := framing.problem(scope)) is not None:
            exchange.refuse(400, "bad_request", wrong)
            return
        headers = scope.headers
        length = headers.get("content-length")
        if length == "0" or (length is None and "transfer-encoding" not in headers):
            await self._run(exchange, self._client(exchange), io.BytesIO(), None)
            return
        try:
            size = None if length is None else int(length)
            await self._receive(exchange, proto, size)
        except TimeoutError:
            exchange.refuse(408, "too_slow", "The body did not come in time.")
        except BodyTruncated:
            exchange.refuse(400, "bad_request", "The body ended early.")

    async def _receive(
        self, exchange: Exchange, proto: Any, length: int | None
    ) -> None:
        body = BodyReader(aiter(proto), length, self._timeouts)
        ahead = await body.read_ahead()
        client = self._client(exchange)
        if body.is_complete:
            await self._run(exchange, client, io.BytesIO(ahead), len(ahead))
            return
        if not await self._places.take(client, self._timeouts.silent_s):
            exchange.refuse(
                503, "unavailable", "Too many large requests at once; try again."
            )
            return
        try:
            stream = io.BufferedReader(BlockingBody(ahead, body, self._loop))
            await self._run(exchange, client, stream, length, wake_loop=True)
        finally:
            self._places.give_back(client)

    def _client(self, exchange: Exchange) -> Client:
        peer, _ = environ.split(exchange.scope.client)
        client = self._clients.identify(peer, exchange.scope.headers)
        exchange.client = client.name
        return client

    async def _run(
        self,
        exchange: Exchange,
        client: Client,
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
        scope = exchange.scope
        answered: Future[None] = self._loop.create_future()
        self._busy.add(scope.client)

        def answer() -> None:
            try:
                self._answer(exchange, client, body, length)
            finally:
                self._answered.append(answered)
                if wake_loop:
                    self._loop.call_soon_threadsafe(self._settle)

        if wake_loop:
            # A long body has a thread of its own.
            self._threads.run(answer)
        else:
            lane = self._reads if scope.method in READING else self._writes
            lane.run(answer, client)
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

    def _answer(
        self,
        exchange: Exchange,
        client: Client,
        body: IO[bytes],
        length: int | None,
    ) -> None:
        """Call the WSGI application in a thread; granian accepts responses from any."""
        scope = exchange.scope
        head: list[Any] = []
        content: list[bytes] = []

        def start(status: str, headers: list[Any], exc_info: Any = None) -> Any:
            head[:] = int(status[:3]), headers
            return content.append

        given = environ.build(scope, body, length)
        given[request_ids.ENVIRON] = exchange.request_id
        try:
            chunks = self._app(given, start)
            try:
                if not isinstance(chunks, list | tuple):
                    self._stream(exchange, head, chunks)
                    return
                content.extend(chunks)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except BaseException:
            if not exchange.has_begun:
                why = "Something went wrong on our side."
                exchange.refuse(500, "internal_error", why)
            raise
        finally:
            # Before the answer, after which the next request may be here at once.
            self._busy.discard(scope.client)
        answer = b"".join(content)
        if len(answer) >= LONG and not self._answers.admit(
            scope.client, client, len(answer)
        ):
            exchange.refuse(
                503, "unavailable", "Take the answers before you ask for more."
            )
            return
        status, headers = head
        exchange.answer(status, headers, answer)

    def _stream(
        self, exchange: Exchange, head: list[Any], chunks: Iterable[bytes]
    ) -> None:
        """Send the pieces of an answer while they are made.

        The next one is made when the web server has room for it. An answer that fails
        half-way breaks off, so its content has to say where it ends.
        """
        stream = None
        for chunk in chunks:
            # The application calls `start` before its first piece.
            stream = stream or exchange.stream(*head)
            sending = asyncio.run_coroutine_threadsafe(stream.send(chunk), self._loop)
            # The watcher ends the connection of a client that takes nothing.
            sending.result(LONGEST_SEND_S)
        if stream is None:
            status, headers = head
            exchange.answer(status, headers, b"")
        else:
            stream.end()
