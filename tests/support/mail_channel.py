"""The mail channel as the registry opens it, and how to send through it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import config
from models.pushes import Target
from notifier import channels
from notifier.channels import Channel
from tests.support import tls
from tests.support.fake_provider import FakeTokens, RecordedTroubles
from tests.support.notifications import Reports, make_notification, make_target

SENDER = "chat@harbour.example"
# Takes the server's URL and further settings.
Open = Callable[..., AbstractAsyncContextManager[Channel]]


def opener(directory: Path) -> Open:
    """Opens a channel without digests, unless the settings say otherwise."""

    @asynccontextmanager
    async def opened(
        url: str, troubles: RecordedTroubles | None = None, **variables: str
    ) -> AsyncIterator[Channel]:
        settings = {
            "RUN_DIR": str(directory),
            "SERVICE_KEY": "k" * 16,
            "CA_FILE": str(tls.authority().ca_file),
            "SMTP_URL": url,
            "SMTP_FROM": f"Harbour Chat <{SENDER}>",
            "SMTP_DIGEST_S": "0",
        }
        named = {f"BOTTLEPOST_{k}": v for k, v in (settings | variables).items()}
        board = troubles or RecordedTroubles()
        opened = channels.create(config.from_env(named), FakeTokens(), board)
        try:
            yield opened["email"]
        finally:
            await opened["email"].close()

    return opened


def targets(*addresses: str, attempts: int = 1) -> list[Target]:
    """Devices whose first try, which only puts a message off, is behind them."""
    return [
        make_target(number, address, platform="email", attempts=attempts)
        for number, address in enumerate(addresses, start=1)
    ]


async def send(channel: Channel, to: list[Target], **changes: Any) -> Reports:
    reports = Reports()
    await channel.send(channel.render(make_notification(**changes)), to, reports)
    return reports
