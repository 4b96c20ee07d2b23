"""The web push channel as the registry opens it, and how to send through it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import config
from config import Settings
from models.pushes import Target
from notifier import channels
from notifier.channels import Channel
from tests.support import tls
from tests.support.fake_provider import FakeTokens, RecordedTroubles
from tests.support.notifications import Reports, make_notification, make_target
from tests.support.push_service import Browser

SUBJECT = "mailto:ops@example.org"


def settings_in(directory: Path) -> Settings:
    """Web push to services on this host."""
    return config.from_env(
        {
            "BOTTLEPOST_RUN_DIR": str(directory),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
            "BOTTLEPOST_VAPID_SUBJECT": SUBJECT,
            "BOTTLEPOST_WEBPUSH_ALLOW": "localhost",
        }
    )


@asynccontextmanager
async def opened(
    settings: Settings, troubles: RecordedTroubles | None = None
) -> AsyncIterator[Channel]:
    channel = channels.create(settings, FakeTokens(), troubles or RecordedTroubles())[
        "webpush"
    ]
    try:
        yield channel
    finally:
        await channel.close()


def targets(*browsers: Browser) -> list[Target]:
    return [
        make_target(number, browser.token, platform="webpush")
        for number, browser in enumerate(browsers, start=1)
    ]


async def send(channel: Channel, to: list[Target], **changes: Any) -> Reports:
    reports = Reports()
    await channel.send(channel.render(make_notification(**changes)), to, reports)
    return reports
