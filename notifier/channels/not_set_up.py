"""The channel of a platform that this process is not set up for."""

from collections.abc import Sequence
from typing import Any

from models.pushes import Notification, Target
from notifier.channels import Report, Troubles
from notifier.outcome import Kind, Outcome

REASON = "this channel is not configured"
# Only a process with other settings can push to these devices, so the pause is long.
RETRY_S = 3600.0


class NotSetUp:
    """Keeps the devices for a process with other settings, or gives them up at once.

    It gives them up only if the settings say so, and no host has such a process.
    """

    awaits_token = False

    def __init__(self, platform: str, troubles: Troubles, *, fails: bool) -> None:
        self._platform = platform
        self._troubles = troubles
        self._fails = fails

    def render(self, notification: Notification) -> Any:
        return None

    async def send(
        self, rendered: Any, targets: Sequence[Target], report: Report
    ) -> None:
        gives_up = self._fails and not await self._troubles.is_live(self._platform)
        after_s = 0.0 if gives_up else None
        report(
            targets,
            Outcome(Kind.UNCONFIGURED, REASON, RETRY_S, give_up_after_s=after_s),
        )

    async def close(self) -> None:
        return None
