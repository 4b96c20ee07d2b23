"""What goes in and out of the transport: a head, its requests, their responses."""

from typing import NamedTuple


class Head(NamedTuple):
    """What many requests share; encoded once per connection."""

    # Regular header fields, names in lower case.
    headers: tuple[tuple[str, str], ...]
    # None: every request brings its own.
    path: str | None = None
    method: str = "POST"


class Request(NamedTuple):
    """What is different from one request to the next."""

    body: bytes
    # Raw ASCII, when the head has none.
    path: bytes | None = None
    # Further header fields, encoded by `literal`.
    fields: bytes = b""


class Response(NamedTuple):
    """An answer that arrived completely."""

    status: int
    # Left out where nobody needs them: a 200 is a 200.
    headers: tuple[tuple[str, str], ...]
    body: bytes
