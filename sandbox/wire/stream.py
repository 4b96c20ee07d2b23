"""One stream of an HTTP/2 connection, as the sandbox keeps it."""

from sandbox.wire.exchange import Fields


class Stream:
    """A request that is incomplete, or that still has no response."""

    __slots__ = ("body", "complete", "fields", "head_sent", "repeated", "size")

    def __init__(self, found: Fields, repeated: frozenset[str]) -> None:
        self.fields = found
        self.repeated = repeated
        self.body: list[bytes] = []
        self.size = 0
        # END_STREAM has come; more frames of the request are an error.
        self.complete = False
        # The body of the response follows later.
        self.head_sent = False
