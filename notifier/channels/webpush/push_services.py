"""The push services in use, each with its own connection, breaker and signature."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from notifier.channels import Troubles
from notifier.channels.route import Dialect, Route
from notifier.channels.webpush.credentials import Signer, VapidAuthorization
from notifier.channels.webpush.resolver import Resolver
from notifier.http2 import Client
from notifier.outcome import ChannelDown

# The browsers' own push services; all others are strangers (`strangers.py`).
KNOWN_HOSTS = (
    "fcm.googleapis.com",
    "push.services.mozilla.com",
    "push.apple.com",
    "notify.windows.com",
)
# Connections kept open, to the services used last.
MAX_OPEN_SERVICES = 128
# Any user can name a server that never responds: it must not hold a job for long.
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 10.0


class Service:
    """One push service: everything on one origin."""

    def __init__(self, host: str, port: int, client: Client, route: Route) -> None:
        self.host = host
        self.port = port
        self.client = client
        self.route = route
        self.is_known = is_known_host(host)
        # Its name has led to a public address.
        self.is_resolved = False
        # The look-up of its name that is under way.
        self.look_up: asyncio.Task[Sequence[str]] | None = None
        # Sends under way: while there are any, it is not closed.
        self.active_sends = 0


class PushServices:
    """Opens services when they are needed, and closes the least recently used ones."""

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
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(
        self, origin: str, host: str, port: int, asker: int | None = None
    ) -> AsyncIterator[Service]:
        """The service of an origin, kept open at least until the end of the block.

        The asker is the user whose device names it, if there is only one.
        Raises PrivateAddress, and ChannelDown or CredentialsRefused when the name
        cannot be resolved or the service's breaker is open.
        """
        service = self._services.get(origin)
        if service is None:
            service = self._services[origin] = self._open(origin, host, port)
        self._services.move_to_end(origin)
        service.active_sends += 1
        try:
            service.route.check()
            await self._resolve_once(service, asker)
            yield service
        finally:
            service.active_sends -= 1
            self._close_unused()

    async def _resolve_once(self, service: Service, asker: int | None) -> None:
        """Check the name for a clear error; the client checks it at each connection."""
        if service.is_resolved:
            return
        breaker = service.route.breaker
        if breaker.is_open:
            breaker.begin_probe()
        try:
            await self._look_up(service, asker)
        except ChannelDown as down:
            breaker.open_for_outage(down.reason)
            if service.is_known:
                await service.route.tell_outage(down.reason)
            raise
        service.is_resolved = True

    async def _look_up(self, service: Service, asker: int | None) -> None:
        """Wait for one look-up, however many sends need it."""
        if service.look_up is None:
            look_up = self._resolver.addresses(service.host, service.port, asker)
            service.look_up = asyncio.create_task(look_up)
            service.look_up.add_done_callback(partial(_end_look_up, service))
        # It goes on when this send has no time left.
        await asyncio.shield(service.look_up)

    def _open(self, origin: str, host: str, port: int) -> Service:
        client = Client(
            origin,
            tls=self._tls,
            max_connections=4 if is_known_host(host) else 1,
            request_timeout_s=REQUEST_TIMEOUT_S,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            resolve=self._resolver.addresses,
            # Self-hosted services of UnifiedPush stand behind proxies of any age.
            http1=True,
        )
        route = Route(
            f"webpush {origin}",
            client,
            VapidAuthorization(self._signer, origin),
            self._dialect,
            self._troubles,
        )
        return Service(host, port, client, route)

    def _close_unused(self) -> None:
        excess = len(self._services) - MAX_OPEN_SERVICES
        unused = [
            o for o, service in self._services.items() if not service.active_sends
        ]
        for origin in unused[: max(excess, 0)]:
            client = self._services.pop(origin).client
            # Not awaited: senders need not wait for another service's shutdown.
            task = asyncio.create_task(client.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        services, self._services = self._services, OrderedDict()
        for service in services.values():
            if service.look_up is not None:
                service.look_up.cancel()
        closing = [service.client.close() for service in services.values()]
        await asyncio.gather(*closing, *self._closing, return_exceptions=True)


def _end_look_up(service: Service, task: asyncio.Task[Sequence[str]]) -> None:
    service.look_up = None
    if not task.cancelled():
        # Seen here, because the sends that waited for it may be over.
        task.exception()


def is_known_host(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in KNOWN_HOSTS)
