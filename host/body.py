"""Receives a request's body on the event loop, with timeouts."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

# A longer body is not received as a whole: the rest is read while it is processed.
READ_AHEAD = 64 * 1024
TOO_SLOW = "the body did not come in time"


class BodyTruncated(OSError):
    """The connection ended or failed in the middle of the body."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """The time that a client may take, in seconds."""

    # Between two pieces.
    silent_s: float = 10.0
    # For a short body, or for the first READ_AHEAD bytes of a long one.
    short_s: float = 30.0
    # For the rest of a long body: 64 MiB at 1 Mbit/s.
    long_s: float = 600.0
    # A thread waits for this rest, so it comes at least so fast, on the average of so
    # many seconds in which we have waited for it.
    bytes_per_s: float = 8 * 1024
    average_s: float = 10.0


class BodyReader:
    """Reads the pieces of a body; used only on the event loop."""

    def __init__(
        self, pieces: AsyncIterator[bytes], length: int | None, timeouts: Timeouts
    ) -> None:
        self.length = length
        self._pieces = pieces
        self._left = length
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + timeouts.short_s
        self._is_long = False
        # Of the rest of a long body, since the average was last taken.
        self._waited_s = 0.0
        self._received = 0

    @property
    def is_complete(self) -> bool:
        return self._left == 0

    async def read_ahead(self) -> bytes:
        """All of a short body, or the beginning of a long one.

        The beginning is longer than READ_AHEAD, so that a handler with a smaller limit
        refuses the body at once.
        """
        ahead = await self.read()
        while len(ahead) <= READ_AHEAD and not self.is_complete:
            ahead += await self.read()
        if not self.is_complete:
            self._deadline += self._timeouts.long_s
            self._is_long = True
        return ahead

    async def read(self) -> bytes:
        """The next piece, empty at the end; raises BodyTruncated or TimeoutError."""
        if self.is_complete:
            return b""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        began = self._loop.time()
        silent_until = began + self._timeouts.silent_s
        # asyncio.timeout() costs four times as much, and nothing else cancels us.
        timer = self._loop.call_at(min(silent_until, self._deadline), task.cancel)
        try:
            piece = await anext(self._pieces)
            if not piece:
                await self._check_end()
        except asyncio.CancelledError:
            raise TimeoutError(TOO_SLOW) from None
        finally:
            timer.cancel()
        if self._is_long:
            self._check_rate(len(piece), self._loop.time() - began)
        if self._left is not None:
            self._left -= len(piece)
        return piece

    def _check_rate(self, size: int, waited_s: float) -> None:
        """Raises TimeoutError for a client that sends drops.

        While the thread is busy with what it has, the client cannot send.
        """
        self._received += size
        self._waited_s += waited_s
        if self._waited_s < self._timeouts.average_s:
            return
        if self._received < self._waited_s * self._timeouts.bytes_per_s:
            raise TimeoutError(TOO_SLOW)
        self._received, self._waited_s = 0, 0.0

    async def _check_end(self) -> None:
        """Granian yields b"" once at the end of a body, and twice if it is truncated.

        It also yields b"" twice after a chunked body with trailers, which clients do
        not send.
        """
        try:
            await anext(self._pieces)
        except StopAsyncIteration:
            if not self._left:
                self._left = 0
                return
        raise BodyTruncated("the body ended early")


class BlockingBody(io.RawIOBase):
    """A long body as a file for a thread, which waits for the event loop."""

    def __init__(
        self, ahead: bytes, body: BodyReader, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._rest = memoryview(ahead)
        self._body = body
        self._loop = loop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises OSError when the body is truncated or does not arrive in time."""
        if not self._rest:
            reading = asyncio.run_coroutine_threadsafe(self._body.read(), self._loop)
            self._rest = memoryview(reading.result())
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
