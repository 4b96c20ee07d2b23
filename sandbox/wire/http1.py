"""HTTP/1.1 for curl, browsers and token endpoints; pushes to Apple need HTTP/2."""

import asyncio
from http.client import responses
from typing import Any, cast

from sandbox import routes
from sandbox.state import Sandbox
from sandbox.wire.delayed_writer import Outlet
from sandbox.wire.exchange import Answer, Fields, Request, Trick

LARGEST_HEAD = 32 * 1024
LARGEST_BODY = 1024 * 1024


class Malformed(Exception):
    """The request cannot be read; the status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Http1(asyncio.Protocol):
    """One connection, kept alive; requests are answered one after another."""

    def __init__(self, sandbox: Sandbox, memory: dict[str, Any]) -> None:
        self.sandbox = sandbox
        self.memory = memory
        self._buffer = b""
        self._busy = False
        self._last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.outlet = Outlet(
            self.transport, lambda: self.sandbox.rules.latency_ms / 1000
        )
        self.sandbox.counters.connection_opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.sandbox.counters.connection_closed(self)

    def limit_changed(self) -> None:
        """Streams are a matter of HTTP/2."""

    def leave(self) -> None:
        """The sandbox stops."""
        self.outlet.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        while not self._busy and not self._last:
            try:
                request = self._read()
            except Malformed as bad:
                self._last = True
                self._finish(Answer(bad.status))
                return
            if request is None:
                return
            self._busy = True
            reply = routes.answer(self.sandbox, request)
            if isinstance(reply, Answer):
                self._finish(reply, head_only=request.method == "HEAD")
            else:
                task = asyncio.ensure_future(reply)
                self.sandbox.track(task)
                task.add_done_callback(self._finish_task)

    def _finish_task(self, task: "asyncio.Future[Answer]") -> None:
        if not task.cancelled():
            self._resume(task.result())

    def _resume(self, answer: Answer) -> None:
        self._finish(answer)
        self._next()

    def _read(self) -> Request | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(self._buffer) > LARGEST_HEAD:
                raise Malformed(431)
            return None
        line, *lines = head.decode("latin-1").split("\r\n")
        fields = _fields(lines)
        length = fields.get("content-length", "0")
        if "transfer-encoding" in fields:
            raise Malformed(501)
        if not length.isdecimal() or len(length) > 9:
            raise Malformed(400)
        if int(length) > LARGEST_BODY:
            raise Malformed(413)
        if len(rest) < int(length):
            return None
        self._buffer = rest[int(length) :]
        parts = line.split(" ")
        if len(parts) != 3 or not parts[1].startswith("/"):
            raise Malformed(400)
        closing = fields.get("connection", "").lower() == "close"
        self._last = closing or parts[2] != "HTTP/1.1"
        request = Request("1.1", parts[0], parts[1], fields, rest[: int(length)])
        request.memory = self.memory
        return request

    def _finish(self, answer: Answer, *, head_only: bool = False) -> None:
        if answer.trick is None:
            self._busy = False
            self._write(answer, head_only=head_only)
        elif answer.trick.kind in ("delay", "drip", "farewell"):
            self._last |= answer.trick.kind == "farewell"
            self._later(answer.trick)
        elif answer.trick.kind != "hang":
            self._cut(answer.trick)

    def _later(self, trick: Trick) -> None:
        delay_s = 0.0 if trick.kind == "farewell" else trick.delay_s
        loop = asyncio.get_running_loop()
        loop.call_later(delay_s, lambda: self._resume(trick.then()))

    def _cut(self, trick: Trick) -> None:
        """There are no streams: whatever would end one ends the connection."""
        if trick.kind == "lose":
            trick.then()
        self.sandbox.inbox.settle()
        self.transport.abort()

    def _write(self, answer: Answer, *, head_only: bool) -> None:
        lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if answer.status != 204:
            lines.append(f"content-length: {len(answer.body)}")
        if self._last:
            lines.append("connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.sandbox.inbox.settle()
        self.outlet.write(head if head_only else head + answer.body)
        if self._last:
            self.outlet.close()


def _fields(lines: list[str]) -> Fields:
    fields: Fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed(400)
        fields[name.lower()] = value.strip()
    return fields
