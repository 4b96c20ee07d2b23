"""A request and its answer, on the wire and in the access log."""

import json
import time
from collections.abc import Callable
from typing import Any

from bottlepost.logs import request_ids
from host.access import Access

RETRY_AFTER_S = 2

Record = Callable[[Access], None]
# Header fields of errors, from those of the request.
MoreHeaders = Callable[[Any], list[tuple[str, str]]]


class Exchange:
    """A request of granian's; it is answered once, from any thread."""

    __slots__ = (
        "_began",
        "_more_headers",
        "_proto",
        "_record",
        "client",
        "has_begun",
        "request_id",
        "scope",
    )

    def __init__(
        self, scope: Any, proto: Any, record: Record | None, more_headers: MoreHeaders
    ) -> None:
        self.scope = scope
        self.request_id = request_ids.of(scope.headers.get("x-request-id"))
        # Its address for the log, once it is known better.
        self.client = ""
        # Whether a part of the answer may have been sent.
        self.has_begun = False
        self._proto = proto
        self._record = record
        self._more_headers = more_headers
        self._began = time.perf_counter()

    def answer(self, status: int, headers: Any, body: bytes) -> None:
        """Send an answer whose headers name the request."""
        self._proto.response_bytes(status, headers, body)
        self.log(status, len(body))

    def stream(self, status: int, headers: Any) -> "Stream":
        """Begin an answer whose pieces follow."""
        self.has_begun = True
        return Stream(self, status, self._proto.response_stream(status, headers))

    def log(self, status: int, size: int) -> None:
        """Add the line of the access log."""
        if self._record is not None:
            scope = self.scope
            self._record(
                Access(
                    time.time(),
                    scope.method,
                    scope.path,
                    scope.query_string,
                    status,
                    size,
                    time.perf_counter() - self._began,
                    self.client or scope.client.rpartition(":")[0].strip("[]"),
                    self.request_id,
                )
            )

    def refuse(self, status: int, code: str, message: str) -> None:
        """Send an error in the API's format, and close the connection."""
        headers = [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
            (request_ids.HEADER, self.request_id),
            *self._more_headers(self.scope.headers),
        ]
        if status == 503:
            headers.append(("Retry-After", str(RETRY_AFTER_S)))
        error = {"code": code, "message": message, "details": {}}
        self.answer(status, headers, json.dumps({"error": error}).encode())


class Stream:
    """An answer that is sent in pieces."""

    __slots__ = ("_exchange", "_size", "_status", "_transport")

    def __init__(self, exchange: Exchange, status: int, transport: Any) -> None:
        self._exchange = exchange
        self._status = status
        self._transport = transport
        self._size = 0

    async def send(self, piece: bytes) -> None:
        """Returns when the web server has room for the next piece."""
        self._size += len(piece)
        await self._transport.send_bytes(piece)

    def end(self) -> None:
        """All pieces have been sent."""
        self._exchange.log(self._status, self._size)
