"""The push services of a real sandbox, with the channel that pushes to them."""

from pathlib import Path
from typing import Any

import config
from config import vapid
from models.pushes import Target
from sandbox.browsers.browser import Browser
from sandbox.browsers.subscriptions import Subscriptions
from tests.support.channel_service import ChannelService
from tests.support.notifications import make_target
from tests.support.sandbox import Sandbox

SUBJECT = "mailto:ops@example.org"


class SandboxBrowsers(ChannelService):
    """The web push channel; its settings allow services on this host."""

    platform = "webpush"

    def __init__(self, sandbox: Sandbox, run_dir: Path) -> None:
        super().__init__(
            config.from_env(
                {
                    **sandbox.environment,
                    "BOTTLEPOST_RUN_DIR": str(run_dir),
                    "BOTTLEPOST_SERVICE_KEY": "k" * 16,
                    "BOTTLEPOST_VAPID_SUBJECT": SUBJECT,
                    "BOTTLEPOST_WEBPUSH_ALLOW": "localhost,127.0.0.1",
                }
            )
        )
        self.sandbox = sandbox
        self.origin = f"https://localhost:{sandbox.port}"
        secret = (sandbox.run_dir / "token-secret").read_bytes()
        self._subscriptions = Subscriptions(secret)
        self._count = 0

    def subscribe(
        self,
        name: str = "browser",
        *,
        manner: str = "strict",
        server_key: str | None = None,
    ) -> Browser:
        """A new browser that has subscribed with our key, or with another one."""
        self._count += 1
        key = server_key or vapid.public_key(self.settings)
        return self._subscriptions.issue(
            self.origin, manner, f"{name}-{self._count}", key
        ).browser

    def inbox(self, **query: Any) -> list[dict[str, Any]]:
        return self.sandbox.inbox(**query)

    def connections_opened(self) -> int:
        return self.sandbox.stats()["http2_connections_opened"]

    def request_count(self) -> int:
        return len(self.inbox(all=1))


def targets(*browsers: Browser) -> list[Target]:
    return [
        make_target(number, browser.token, platform="webpush")
        for number, browser in enumerate(browsers, start=1)
    ]
