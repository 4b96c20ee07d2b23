"""The channel of a provider whose settings or credential files cannot be used."""

import logging
from collections.abc import Sequence
from typing import Any

from models.pushes import Notification, Target
from notifier.channels import Report, Troubles
from notifier.outcome import Kind, Outcome

log = logging.getLogger(__name__)


class Misconfigured:
    """Sends nothing and keeps the devices, so that the other providers go on."""

    awaits_token = False

    def __init__(self, platform: str, reason: str, troubles: Troubles) -> None:
        self._platform = platform
        self._reason = reason
        self._troubles = troubles
        self._is_published = False

    def render(self, notification: Notification) -> Any:
        return None

    async def send(
        self, rendered: Any, targets: Sequence[Target], report: Report
    ) -> None:
        if not self._is_published:
            self._is_published = True
            log.error("%s: %s", self._platform, self._reason)
            await self._troubles.report(self._platform, self._reason)
        report(targets, Outcome(Kind.CREDENTIALS, self._reason))

    async def close(self) -> None:
        return None
