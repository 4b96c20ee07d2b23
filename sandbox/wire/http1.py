"""HTTP/1.1 for curl, browsers and token endpoints; pushes to Apple need HTTP/2."""

import asyncio
from http.client import responses
from typing import Any, cast

from sandbox import routes
from sandbox.state import Sandbox
from sandbox.wire.delayed_writer import DelayedWriter
from sandbox.wire.exchange import Fields, Request, Response, WireFault

LARGEST_HEAD = 32 * 1024
LARGEST_BODY = 1024 * 1024


class MalformedRequest(Exception):
    """A request that cannot be read; the status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Http1(asyncio.Protocol):
    """One connection, kept alive; requests get their responses one after another."""

    def __init__(self, sandbox: Sandbox, connection_state: dict[str, Any]) -> None:
        self.sandbox = sandbox
        self.connection_state = connection_state
        self._buffer = b""
        self._is_busy = False
        self._close_after = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.writer = DelayedWriter(
            self.transport, lambda: self.sandbox.rules.latency_ms / 1000
        )
        self.sandbox.counters.connection_opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.sandbox.counters.connection_closed(self)

    def stream_limit_changed(self) -> None:
        """Do nothing, because HTTP/1.1 has no streams."""

    def shut_down(self) -> None:
        """Close the connection; the sandbox stops."""
        self.writer.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._handle_next()

    def _handle_next(self) -> None:
        while not self._is_busy and not self._close_after:
            try:
                request = self._read()
            except MalformedRequest as error:
                self._close_after = True
                self._finish(Response(error.status))
                return
            if request is None:
                return
            self._is_busy = True
            response = routes.respond(self.sandbox, request)
            if isinstance(response, Response):
                self._finish(response, head_only=request.method == "HEAD")
            else:
                task = asyncio.ensure_future(response)
                self.sandbox.track(task)
                task.add_done_callback(self._finish_task)

    def _finish_task(self, task: "asyncio.Future[Response]") -> None:
        if not task.cancelled():
            self._resume(task.result())

    def _resume(self, response: Response) -> None:
        self._finish(response)
        self._handle_next()

    def _read(self) -> Request | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(self._buffer) > LARGEST_HEAD:
                raise MalformedRequest(431)
            return None
        line, *lines = head.decode("latin-1").split("\r\n")
        fields = _fields(lines)
        length = fields.get("content-length", "0")
        if "transfer-encoding" in fields:
            raise MalformedRequest(501)
        if not length.isdecimal() or len(length) > 9:
            raise MalformedRequest(400)
        if int(length) > LARGEST_BODY:
            raise MalformedRequest(413)
        if len(rest) < int(length):
            return None
        self._buffer = rest[int(length) :]
        parts = line.split(" ")
        if len(parts) != 3 or not parts[1].startswith("/"):
            raise MalformedRequest(400)
        closing = fields.get("connection", "").lower() == "close"
        self._close_after = closing or parts[2] != "HTTP/1.1"
        request = Request("1.1", parts[0], parts[1], fields, rest[: int(length)])
        request.connection_state = self.connection_state
        return request

    def _finish(self, response: Response, *, head_only: bool = False) -> None:
        if response.fault is None:
            self._is_busy = False
            self._write(response, head_only=head_only)
        elif response.fault.kind in ("delay", "slow_body", "goaway_after"):
            self._close_after |= response.fault.kind == "goaway_after"
            self._respond_later(response.fault)
        elif response.fault.kind != "hang":
            self._cut(response.fault)

    def _respond_later(self, fault: WireFault) -> None:
        delay_s = 0.0 if fault.kind == "goaway_after" else fault.delay_s
        loop = asyncio.get_running_loop()
        loop.call_later(delay_s, lambda: self._resume(fault.respond()))

    def _cut(self, fault: WireFault) -> None:
        """Abort the connection, because HTTP/1.1 cannot reset one request."""
        if fault.kind == "lose_response":
            fault.respond()
        self.sandbox.inbox.flush()
        self.transport.abort()

    def _write(self, response: Response, *, head_only: bool) -> None:
        lines = [f"HTTP/1.1 {response.status} {responses.get(response.status, '')}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        if response.status != 204:
            lines.append(f"content-length: {len(response.body)}")
        if self._close_after:
            lines.append("connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.sandbox.inbox.flush()
        self.writer.write(head if head_only else head + response.body)
        if self._close_after:
            self.writer.close()


def _fields(lines: list[str]) -> Fields:
    fields: Fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedRequest(400)
        fields[name.lower()] = value.strip()
    return fields
