"""Push services that a member has named, and that answer late, in drips or never."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from tests.support import h2_peer, push_service
from tests.support.h2_peer import Peer, PeerRequest
from tests.support.push_service import Browser, PushService


@dataclass
class Tarpit:
    """The endpoint of the member's device."""

    browser: Browser
    # Answers at once from now on, and what was held until now; None if it cannot.
    service: PushService | None = None
    _held: list[PeerRequest] = field(default_factory=list)

    def relent(self) -> None:
        """Answer like any push service from now on."""
        assert self.service is not None
        self.service.peer.on_request = self.service.react


class KnownPeer(Peer):
    """A push service that tests take for a browser's own; the tarpits are localhost."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


KNOWN_HOST = "127.0.0.1"


@asynccontextmanager
async def known_service() -> AsyncIterator[PushService]:
    """A good push service, for tests in which KNOWN_HOST is a known one."""
    service = PushService(KnownPeer())
    service.peer.on_request = service.react
    async with h2_peer.serve(service.peer):
        yield service


def _drip(request: PeerRequest) -> None:
    """Begin an answer, and never end it."""
    h2 = request.connection.h2
    h2.send_headers(request.stream_id, [(":status", "201")])
    loop = asyncio.get_running_loop()

    def send_byte() -> None:
        if not request.connection.lost:
            h2.send_data(request.stream_id, b".")
            request.connection.flush()
            loop.call_later(0.3, send_byte)

    send_byte()


def _answer_late(request: PeerRequest) -> None:
    asyncio.get_running_loop().call_later(9.0, _answer, request)


def _answer(request: PeerRequest) -> None:
    if not request.connection.lost:
        request.answer(201)


@asynccontextmanager
async def _service(react: Callable[[PeerRequest], None]) -> AsyncIterator[Tarpit]:
    async with push_service.run() as service:
        browser = service.subscribe()

        def react_slowly(request: PeerRequest) -> None:
            service.seen.append(request.path)
            react(request)

        service.peer.on_request = react_slowly
        yield Tarpit(browser, service)


def never() -> AbstractAsyncContextManager[Tarpit]:
    """Takes every request, and answers none."""
    return _service(lambda request: None)


def late() -> AbstractAsyncContextManager[Tarpit]:
    return _service(_answer_late)


def dripping() -> AbstractAsyncContextManager[Tarpit]:
    return _service(_drip)


@asynccontextmanager
async def without_tls() -> AsyncIterator[Tarpit]:
    """Accepts connections, and says nothing."""
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        yield Tarpit(Browser(f"https://localhost:{port}/push"))
        # Python 3.12 waits for open connections at the end of the block.
        listening.close()


@asynccontextmanager
async def not_accepting() -> AsyncIterator[Tarpit]:
    """Does not complete a connection: its queue of new ones is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        filling = [socket.socket() for _ in range(4)]
        for each in filling:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            yield Tarpit(Browser(f"https://localhost:{address[1]}/push"))
        finally:
            for each in filling:
                each.close()


KINDS = (never, late, dripping, without_tls, not_accepting)
