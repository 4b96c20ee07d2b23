"""A client for the channels that keeps their requests and answers all of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from hpack import Decoder

from models.previews import Preview
from notifier.http2 import Head, Request, Response

# In place of what proves who we are.
HIDDEN = "…"


class RecordingClient:
    """Stands where a channel has its HTTP/2 client."""

    def __init__(self, platform: str, origin: str) -> None:
        self.authority = urlsplit(origin).netloc
        self._platform = platform
        self._origin = origin
        self.answers = 0
        self.recorded: list[tuple[Preview, bytes]] = []

    async def send(
        self,
        head: Head,
        requests: Sequence[Request],
        on_response: Callable[[int, Response], None],
        on_accepted: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        for index, request in enumerate(requests):
            path = head.path or (request.path or b"").decode()
            made = preview(self._platform, self._origin + path, head, request.fields)
            self.recorded.append((made, request.body))
            self.answers += 1
            on_response(index, Response(200, (), b""))

    async def close(self) -> None:
        pass


def preview(platform: str, url: str, head: Head, fields: bytes) -> Preview:
    own = [(str(name), str(value)) for name, value in Decoder().decode(fields)]
    return Preview(platform, head.method, url, (*head.headers, *own))


class HiddenToken:
    """Shows where the provider token stands, and asks nobody for one."""

    is_awaited = False

    async def token(self) -> str | None:
        return HIDDEN

    async def token_expired(self, token: str | None) -> None:
        pass


class NoTroubles:
    """Nothing can go wrong with a provider that is not asked."""

    async def report(self, route: str, reason: str | None) -> None:
        pass

    async def host_missing(self, host: str) -> datetime | None:
        return None

    async def is_live(self, platform: str) -> bool:
        return True

    async def host_found(self, host: str) -> None:
        pass
