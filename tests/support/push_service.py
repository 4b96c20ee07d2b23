"""A push service in the test's process, for tests that hold or replace its responses.

It checks and decrypts with the sandbox's own rules.
"""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.browsers.browser import Browser
from sandbox.browsers.service import Webpush
from sandbox.control.counters import Counters
from sandbox.control.inbox import Inbox
from sandbox.control.rules import Rules
from sandbox.wire.exchange import Request
from tests.support import h2_peer
from tests.support.h2_peer import Peer, PeerRequest


@dataclass
class Delivered:
    """A push that the service has accepted, as the browser reads it."""

    browser: Browser
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.browser.decrypt(self.body))
        return value


# Status, headers and body.
Response = tuple[int, dict[str, str], bytes]


@dataclass
class PushService:
    """The service's state: the responses that a test sets, and what has arrived."""

    peer: Peer
    inbox: list[Delivered] = field(default_factory=list)
    # By path: the response to every request.
    told: dict[str, Response] = field(default_factory=dict)
    # The response to every request of all paths.
    told_all: Response | None = None
    # Paths whose requests get no response before the test sends one.
    hanging: set[str] = field(default_factory=set)
    held: list[PeerRequest] = field(default_factory=list)
    # Paths whose requests are reset.
    resetting: set[str] = field(default_factory=set)
    # Every request's path, also of those refused.
    seen: list[str] = field(default_factory=list)
    _browsers: dict[str, Browser] = field(default_factory=dict)

    def __post_init__(self) -> None:
        secret, counters = secrets.token_bytes(32), Counters()
        self._strict = Webpush(secret, Rules(), counters, Inbox())

    @property
    def origin(self) -> str:
        return self.peer.url

    def subscribe(self, server_key: str | None = None) -> Browser:
        name = secrets.token_hex(6)
        subscriptions = self._strict.subscriptions
        issued = subscriptions.issue(self.origin, "strict", name, server_key or "")
        self._browsers[self._path(issued.browser)] = issued.browser
        return issued.browser

    def tell(
        self, browser: Browser, status: int, body: bytes = b"", **headers: str
    ) -> None:
        """Respond like this to every push to the browser."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.told[self._path(browser)] = status, named, body

    def hang(self, browser: Browser) -> None:
        """Do not respond to pushes to the browser."""
        self.hanging.add(self._path(browser))

    def reset(self, browser: Browser) -> None:
        """Reset the stream of each push to the browser."""
        self.resetting.add(self._path(browser))

    def _path(self, browser: Browser) -> str:
        return browser.endpoint.removeprefix(self.origin)

    def payloads(self) -> list[dict[str, Any]]:
        return [delivered.payload for delivered in self.inbox]

    def react(self, request: PeerRequest) -> None:
        self.seen.append(request.path)
        if request.path in self.hanging:
            self.held.append(request)
            return
        if request.path in self.resetting:
            request.reset()
            return
        told = self.told_all or self.told.get(request.path)
        if told is not None:
            status, headers, body = told
            request.answer(status, headers.items(), body)
            return
        fields = dict(request.headers)
        checked = Request("2", fields[":method"], request.path, fields, request.body)
        response = self._strict.push(checked)
        if response.status == 201:
            browser = self._browsers[request.path]
            self.inbox.append(Delivered(browser, fields, request.body))
        request.answer(response.status, response.headers, response.body)


def create() -> PushService:
    """A service that does not listen yet."""
    peer = Peer()
    service = PushService(peer)
    peer.on_request = service.react
    return service


@asynccontextmanager
async def run() -> AsyncIterator[PushService]:
    """A service behind TLS and HTTP/2 on a free port of the loopback."""
    service = create()
    async with h2_peer.serve(service.peer):
        yield service
