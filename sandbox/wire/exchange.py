"""Requests and responses, the same for HTTP/1.1 and HTTP/2."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Fields = dict[str, str]
Headers = tuple[tuple[str, str], ...]


class Request:
    """One complete request."""

    __slots__ = (
        "body",
        "connection_state",
        "fields",
        "method",
        "path",
        "query",
        "repeated",
        "version",
    )

    def __init__(
        self, version: str, method: str, target: str, fields: Fields, body: bytes
    ) -> None:
        self.version = version
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.fields = fields
        # Names that came more than once; `fields` has the last value.
        self.repeated: frozenset[str] = frozenset()
        self.body = body
        # Shared by all requests of a connection: `environment`; `topic`, from the
        # client certificate; `trusted`, once more than one stream is allowed.
        self.connection_state: dict[str, Any] = {}


class WireFault(NamedTuple):
    """A fault that the connection causes instead of, or around, a response.

    `delay`: the response of `respond`, after `delay_s`;
    `slow_body`: the head now, the body of `respond` after `delay_s`;
    `lose_response`: `respond` is called, then the connection ends without a response;
    `goaway_after`: the response of `respond`, then GOAWAY;
    `hang`, `reset`, `refuse_stream`, `goaway`, `cut`, `cut_after_headers`: no response.
    """

    kind: str
    respond: Callable[[], "Response"] = lambda: Response(500)
    delay_s: float = 0.0


class Response(NamedTuple):
    """One response, or the fault that replaces it."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    fault: WireFault | None = None


# A response that takes time is awaited.
EventualResponse = Response | Awaitable[Response]
JSON: Headers = (("content-type", "application/json; charset=UTF-8"),)
