"""A client of one origin: what the channels see of the transport."""

import ssl
from collections.abc import Callable, Sequence

from notifier.http2 import headers
from notifier.http2.batch import Batch
from notifier.http2.dial import Resolve, parse_peer
from notifier.http2.messages import Head, Request, Response
from notifier.http2.pool import Pool


class Client:
    """Sends requests to one origin over as few connections as will do.

    Made, used and closed on one event loop; `send` may be called many times at once.
    The TLS context is set to negotiate HTTP/2. `resolve` looks up the host at each
    new connection, for those who may not connect to just any address.
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
    ) -> None:
        self._peer = parse_peer(url, tls, proxy_url, resolve)
        self._pool = Pool(
            self._peer,
            max_connections=max_connections,
            one_stream_until_answer=one_stream_until_answer,
            request_timeout_s=request_timeout_s,
            connect_timeout_s=connect_timeout_s,
            idle_ping_s=idle_ping_s,
        )

    @property
    def answers(self) -> int:
        """How many requests have been answered: a sign that the peer is there."""
        return self._pool.answers

    async def send(
        self,
        head: Head,
        requests: Sequence[Request],
        on_response: Callable[[int, Response], None],
    ) -> None:
        """Call `on_response(index, response)` as the answers arrive, in any order.

        Returns when all have been answered. Raises ChannelDown when some could not
        be: those had no call, and whether the peer saw them is not known. ValueError
        says that the head or a request is not one.
        """
        headers.pairs(head, self._peer.authority)
        if head.path is None and any(request.path is None for request in requests):
            raise ValueError("a request without a path, and its head has none")
        if not requests:
            return
        fault = self._pool.down()
        if fault is not None:
            raise fault
        batch = Batch(head, requests, on_response, self._pool.queue)
        self._pool.queue.put(batch)
        # When this is cancelled, so is `done`, and the batch ends with it.
        await batch.done

    async def fetch(self, head: Head, request: Request) -> Response:
        """The response to one request; raises like `send`."""
        responses: list[Response] = []
        await self.send(head, [request], lambda _, response: responses.append(response))
        return responses[0]

    async def close(self) -> None:
        """Let open requests end for a moment, then say goodbye; the rest is let go."""
        await self._pool.close()
