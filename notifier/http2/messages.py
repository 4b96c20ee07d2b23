"""The values that the transport sends and returns: heads, requests, responses."""

from typing import NamedTuple


class Head(NamedTuple):
    """The part that many requests share; it is encoded once per connection."""

    # Regular header fields, names in lower case.
    headers: tuple[tuple[str, str], ...]
    # None: every request has its own.
    path: str | None = None
    method: str = "POST"


class Request(NamedTuple):
    """The part that differs from one request to the next."""

    body: bytes
    # Raw ASCII; needed if the head has none.
    path: bytes | None = None
    # Further header fields, encoded by `literal`.
    fields: bytes = b""


class Response(NamedTuple):
    """A response that has arrived completely."""

    status: int
    # Empty after a plain 200, whose fields are not decoded.
    headers: tuple[tuple[str, str], ...]
    body: bytes


# A response without a body, as APNs sends for each accepted push.
PLAIN_OK = Response(200, (), b"")
