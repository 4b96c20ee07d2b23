"""CORS: lets pages of other origins call the API from a browser.

Only the API: pages work with cookies, and no other site may read them. Browsers send no
cookie with a request to the API either, because no answer has
Access-Control-Allow-Credentials; the token is in the Authorization header.
"""

from collections.abc import Sequence
from typing import Any

ANY = "*"
# Set in the environ of a request whose answer other origins may read.
READABLE = "bottlepost.cors"
METHODS = "GET, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, X-Request-Id, Traceparent, Tracestate"
# What scripts may read beside the few headers that they may always read.
ANSWER_HEADERS = "Allow, Retry-After, WWW-Authenticate, X-Request-Id"
# The longest time for which all browsers remember a preflight.
MAX_AGE_S = 7200

Headers = list[tuple[str, str]]


class Cors:
    """The origins that may call the API; none by default."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        self._origins = frozenset(origins)
        self._is_for_all = ANY in self._origins

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allows(self, origin: str) -> bool:
        return bool(origin) and (self._is_for_all or origin in self._origins)

    def headers(self, origin: str) -> Headers:
        """What an answer of the API has more; also errors have it."""
        # Caches must know that the answer to another origin is another one.
        varying: Headers = [] if self._is_for_all else [("Vary", "Origin")]
        if not self.allows(origin):
            return varying if self else []
        return [
            ("Access-Control-Allow-Origin", ANY if self._is_for_all else origin),
            ("Access-Control-Expose-Headers", ANSWER_HEADERS),
            *varying,
        ]

    def preflight(self, origin: str) -> Headers:
        """The answer to the question whether a request may be sent."""
        allowed = [
            *self.headers(origin),
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", REQUEST_HEADERS),
            ("Access-Control-Max-Age", str(MAX_AGE_S)),
        ]
        return [each for each in allowed if each[0] != "Access-Control-Expose-Headers"]


def is_preflight(environ: dict[str, Any]) -> bool:
    return environ["REQUEST_METHOD"] == "OPTIONS" and (
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )
