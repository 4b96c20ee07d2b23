"""What the protocols hand to the providers, and what they get back."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Fields = dict[str, str]
Headers = tuple[tuple[str, str], ...]


class Request:
    """One request, complete; made by HTTP/2 and HTTP/1.1 alike."""

    __slots__ = (
        "body",
        "fields",
        "memory",
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
        # Names that came more than once; the last value is the one in `fields`.
        self.repeated: frozenset[str] = frozenset()
        self.body = body
        # Lives as long as the connection: its certificate, its team, its key.
        self.memory: dict[str, Any] = {}


class Trick(NamedTuple):
    """Something other than a plain answer, done by the connection.

    `delay`: the answer of `then` after `delay_s`; `drip`: head now, body after it;
    `lose`: the answer of `then` is made, and lost with the connection;
    `farewell`: the answer of `then`, then GOAWAY; `hang`, `reset`, `refuse`, `goaway`,
    `cut`, `cut_body`: no answer at all.
    """

    kind: str
    then: Callable[[], "Answer"] = lambda: Answer(500)
    delay_s: float = 0.0


class Answer(NamedTuple):
    """One response, or a trick instead of it."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    trick: Trick | None = None


Reply = Answer | Awaitable[Answer]
JSON: Headers = (("content-type", "application/json; charset=UTF-8"),)
