"""A request's body on its way to us, and the time that it may take."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

# So much of a body, and a piece, waits in memory for the rest of it.
AHEAD = 64 * 1024


class Broken(OSError):
    """The connection ended, or went wrong, in the middle of the body."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long a client may take, in seconds."""

    # Without sending anything.
    silent_s: float = 10.0
    # For a body, or for the first AHEAD bytes of a long one.
    short_s: float = 30.0
    # For the rest of a long one: 64 MiB at 1 Mbit/s.
    long_s: float = 600.0


class Body:
    """The pieces of a body; belongs to the event loop."""

    def __init__(
        self, pieces: AsyncIterator[bytes], length: int | None, timeouts: Timeouts
    ) -> None:
        self.length = length
        self._pieces = pieces
        self._left = length
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + timeouts.short_s

    @property
    def is_whole(self) -> bool:
        return self._left == 0

    async def read_ahead(self) -> bytes:
        """All of a short body, or the beginning of a long one.

        That is longer than AHEAD, so that whoever takes no more refuses it at once.
        """
        ahead = await self.read()
        while len(ahead) <= AHEAD and not self.is_whole:
            ahead += await self.read()
        if not self.is_whole:
            self._deadline += self._timeouts.long_s
        return ahead

    async def read(self) -> bytes:
        """The next piece, empty when it is whole; raises Broken or TimeoutError."""
        if self.is_whole:
            return b""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - only tasks await
        silent_until = self._loop.time() + self._timeouts.silent_s
        # asyncio.timeout() costs four times as much, and nobody else cancels us.
        timer = self._loop.call_at(min(silent_until, self._deadline), task.cancel)
        try:
            piece = await anext(self._pieces)
            if not piece:
                await self._check_end()
        except asyncio.CancelledError:
            raise TimeoutError("the body did not come in time") from None
        finally:
            timer.cancel()
        if self._left is not None:
            self._left -= len(piece)
        return piece

    async def _check_end(self) -> None:
        """Granian says b"" once at the end, and twice where a body breaks off.

        Twice after a chunked body with trailers, too; nobody sends those.
        """
        try:
            await anext(self._pieces)
        except StopAsyncIteration:
            if not self._left:
                self._left = 0
                return
        raise Broken("the body ended early")


class Stream(io.RawIOBase):
    """A long body for a thread to read, which waits for the loop."""

    def __init__(
        self, ahead: bytes, body: Body, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._rest = memoryview(ahead)
        self._body = body
        self._loop = loop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises OSError when the body breaks off or does not come in time."""
        if not self._rest:
            reading = asyncio.run_coroutine_threadsafe(self._body.read(), self._loop)
            self._rest = memoryview(reading.result())
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
