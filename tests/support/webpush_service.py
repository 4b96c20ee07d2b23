"""A push service in the test's process, with the channel that pushes to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import config
from config import vapid
from models.pushes import Target
from notifier.outcome import Kind
from sandbox.browsers.browser import Browser, b64
from tests.support import h2_peer, push_service, tls
from tests.support.channel_service import ChannelService
from tests.support.notifications import make_target
from tests.support.push_service import PushService

SUBJECT = "mailto:ops@example.org"
RETRY_AFTER_S = 30


class WebpushService(ChannelService):
    """The web push channel; its settings allow services on this host."""

    platform = "webpush"
    unsendable = {"data": {"k": "x" * 4000}}  # noqa: RUF012
    has_one_provider = False

    def __init__(self, server: PushService, run_dir: Path) -> None:
        super().__init__(
            config.from_env(
                {
                    "BOTTLEPOST_RUN_DIR": str(run_dir),
                    "BOTTLEPOST_SERVICE_KEY": "k" * 16,
                    "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
                    "BOTTLEPOST_VAPID_SUBJECT": SUBJECT,
                    "BOTTLEPOST_WEBPUSH_ALLOW": "localhost",
                }
            )
        )
        self.server = server
        self._numbers: dict[str, int] = {}
        self._listening = AsyncExitStack()

    def device(self, number: int, kind: Kind = Kind.ACCEPTED) -> Target:
        other_key = b64(Browser().point)
        ours = vapid.public_key(self.settings)
        browser = self.server.subscribe(other_key if kind is Kind.SUSPECT else ours)
        match kind:
            case Kind.GONE:
                self.server.tell(browser, 410)
            case Kind.REFUSED:
                self.server.tell(browser, 413)
            case Kind.LATER:
                self.server.tell(browser, 503, retry_after=str(RETRY_AFTER_S))
        self._numbers[browser.endpoint] = number
        return make_target(number, browser.token, platform=self.platform)

    def hanging_device(self, number: int) -> Target:
        browser = self.server.subscribe()
        self.server.hang(browser)
        return make_target(number, browser.token, platform=self.platform)

    def accepted(self) -> list[int]:
        return [self._numbers[push.browser.endpoint] for push in self.server.inbox]

    def request_count(self) -> int:
        return len(self.server.seen)

    def refuse_credentials(self, *, refuse: bool = True) -> None:
        refusal = (403, {}, b'{"reason":"BadJwtToken"}')
        self.server.told_all = refusal if refuse else None

    async def stop(self) -> None:
        await self._listening.aclose()

    async def start(self) -> None:
        peer = self.server.peer
        serving = h2_peer.serve(peer, port=peer.port)
        await self._listening.enter_async_context(serving)


@asynccontextmanager
async def run(run_dir: Path) -> AsyncIterator[WebpushService]:
    service = WebpushService(push_service.create(), run_dir)
    await service.start()
    try:
        yield service
    finally:
        await service.aclose()
        await service.stop()


def targets(*browsers: Browser) -> list[Target]:
    return [
        make_target(number, browser.token, platform="webpush")
        for number, browser in enumerate(browsers, start=1)
    ]
