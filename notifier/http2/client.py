"""The client of one origin, which is what the channels use of this package."""

import ssl
from collections.abc import Callable, Sequence
from operator import attrgetter

from notifier.http2 import headers
from notifier.http2.batch import Batch
from notifier.http2.dial import Resolve, parse_peer
from notifier.http2.messages import Head, Request, Response
from notifier.http2.pool import Pool

_path_of = attrgetter("path")


class Client:
    """Sends requests to one origin over as few connections as it needs.

    It is created, used and closed on one event loop; calls of `send` may overlap. The
    TLS context is changed to negotiate HTTP/2. `resolve` looks up the host for each new
    connection, if the caller allows only certain addresses. With `http1`, a server that
    has no HTTP/2 gets its requests as HTTP/1.1, one at a time on each connection.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext,
        max_connections: int = 8,
        one_stream_until_answer: bool = False,
        request_timeout_s: float = 30,
        connect_timeout_s: float = 10,
        idle_ping_s: float = 60,
        proxy_url: str | None = None,
        resolve: Resolve | None = None,
        http1: bool = False,
    ) -> None:
        self._peer = parse_peer(url, tls, proxy_url, resolve, http1=http1)
        self._pool = Pool(
            self._peer,
            max_connections=max_connections,
            one_stream_until_answer=one_stream_until_answer,
            request_timeout_s=request_timeout_s,
            connect_timeout_s=connect_timeout_s,
            idle_ping_s=idle_ping_s,
        )

    @property
    def authority(self) -> str:
        """The host, and its port if that is not 443."""
        return self._peer.authority

    @property
    def answers(self) -> int:
        """How many requests have been answered, which shows that the peer is up."""
        return self._pool.answers

    async def send(
        self,
        head: Head,
        requests: Sequence[Request],
        on_response: Callable[[int, Response], None],
        on_accepted: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        """Call `on_response(index, response)` as the responses arrive, in any order.

        Those that are 200 and nothing else are given to `on_accepted`, if there is
        one: it gets the indexes of all that arrived together.

        Returns when all requests have been answered. Raises ChannelDown if some were
        not: there was no call for them, and the peer may have processed them. Raises
        ValueError if the head or a request is not valid.
        """
        headers.pairs(head, self._peer.authority)
        if head.path is None and None in map(_path_of, requests):
            raise ValueError("a request without a path, and its head has none")
        if not requests:
            return
        fault = self._pool.down()
        if fault is not None:
            raise fault
        batch = Batch(head, requests, on_response, self._pool.queue, on_accepted)
        self._pool.queue.put(batch)
        # A cancelled send() cancels `done`, which ends the batch.
        await batch.done

    async def fetch(self, head: Head, request: Request) -> Response:
        """The response to one request; raises like `send`."""
        responses: list[Response] = []
        await self.send(head, [request], lambda _, response: responses.append(response))
        return responses[0]

    async def close(self) -> None:
        """Wait briefly for open requests, then close; the remaining ones fail."""
        await self._pool.close()
