"""The push services in use, each with its own connection, breaker and signature."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from notifier.channels import Troubles
from notifier.channels.route import Dialect, Route
from notifier.channels.webpush.credentials import ByVapid, Signer
from notifier.channels.webpush.resolver import Resolver
from notifier.http2 import Client
from notifier.outcome import ChannelDown

# Where the browsers' own subscriptions are; the rest of the world shares its places.
BROWSERS = (
    "fcm.googleapis.com",
    "push.services.mozilla.com",
    "push.apple.com",
    "notify.windows.com",
)
# Services kept open, the ones used last; and strangers that are talked to at a time.
MAX_KEPT = 128
MAX_STRANGERS = 64
# Anybody can name a server that never answers: it must not hold a job for long.
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 10.0


class Service:
    """One push service: everything on one origin."""

    def __init__(self, host: str, port: int, client: Client, route: Route) -> None:
        self.host = host
        self.port = port
        self.client = client
        self.route = route
        self.is_known = is_browsers(host)
        # It has had an address on the Internet.
        self.is_checked = False
        # Sends under way: while there are any, it is not closed.
        self.users = 0


class Origins:
    """Opens services when they are needed and closes those not used for longest."""

    def __init__(
        self,
        signer: Signer,
        dialect: Dialect,
        resolver: Resolver,
        *,
        tls: ssl.SSLContext,
        troubles: Troubles,
    ) -> None:
        self._signer = signer
        self._dialect = dialect
        self._resolver = resolver
        self._tls = tls
        self._troubles = troubles
        self._services: OrderedDict[str, Service] = OrderedDict()
        self._strangers = asyncio.Semaphore(MAX_STRANGERS)
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(self, origin: str, host: str, port: int) -> AsyncIterator[Service]:
        """The service of an origin, kept open at least until the end of the block.

        Raises PrivateAddress, and ChannelDown or CredentialsRefused when its name
        cannot be resolved or the service is left alone at present.
        """
        service = self._services.get(origin)
        if service is None:
            service = self._services[origin] = self._open(origin, host, port)
        self._services.move_to_end(origin)
        service.users += 1
        try:
            service.route.breaker.check()
            async with nullcontext() if service.is_known else self._strangers:
                await self._check_name(service)
                yield service
        finally:
            service.users -= 1
            self._close_some()

    async def _check_name(self, service: Service) -> None:
        """The client checks at each connection; here we learn what is wrong."""
        if service.is_checked:
            return
        breaker = service.route.breaker
        if breaker.is_open:
            breaker.begin_probe()
        try:
            await self._resolver.addresses(service.host, service.port)
        except ChannelDown as down:
            breaker.down(down.reason)
            raise
        service.is_checked = True

    def _open(self, origin: str, host: str, port: int) -> Service:
        client = Client(
            origin,
            tls=self._tls,
            max_connections=4 if is_browsers(host) else 1,
            request_timeout_s=REQUEST_TIMEOUT_S,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            resolve=self._resolver.addresses,
        )
        route = Route(
            f"webpush {origin}"[:200],
            client,
            ByVapid(self._signer, origin),
            self._dialect,
            self._troubles,
        )
        return Service(host, port, client, route)

    def _close_some(self) -> None:
        excess = len(self._services) - MAX_KEPT
        idle = [o for o, service in self._services.items() if not service.users]
        for origin in idle[: max(excess, 0)]:
            client = self._services.pop(origin).client
            # Not awaited: whoever sends should not wait for a stranger's farewell.
            task = asyncio.create_task(client.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        services, self._services = self._services, OrderedDict()
        self._resolver.close()
        closing = [service.client.close() for service in services.values()]
        await asyncio.gather(*closing, *self._closing, return_exceptions=True)


def is_browsers(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in BROWSERS)
