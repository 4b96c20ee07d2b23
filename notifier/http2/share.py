"""How many requests a peer serves on one connection, learnt from how they ended."""

# No connection has that many streams.
UNLIMITED = 2**31


class Share:
    """The number of requests that a connection carries before the peer ends it.

    Proxies often limit the requests of a connection and then end it in good order. If
    two in a row ended after about as many requests, the next ones take no more, because
    the peer would leave the rest unprocessed, and each is replaced in time. The limit
    is forgotten when the peer keeps a connection that has served its share.
    """

    def __init__(self) -> None:
        # None: not known, or there is no limit.
        self.requests: int | None = None
        self._last = 0
        self._before = 0

    @property
    def early(self) -> int:
        """How many requests before the end of a connection the next one is dialled."""
        return min(self.requests // 4, 1000) if self.requests else 0

    def learn(self, requests: int, *, again: bool = False) -> None:
        """The peer has ended a connection in use after this many requests.

        `again` corrects what was learnt from the same connection.
        """
        if not again:
            self._before = self._last
        self._last = requests
        is_like_before = self._before <= 2 * requests <= 4 * self._before
        self.requests = requests if requests and is_like_before else None

    def forget(self) -> None:
        self.requests = None
        self._last = 0

    def left(self, opened: int, answers: int) -> int:
        """How many more requests a connection may take."""
        # One that has answered more shows that the limit is not its own.
        if self.requests is None or answers > self.requests:
            return UNLIMITED
        return max(self.requests - opened, 0)
