"""The ways to a device, one file each, and the registry that opens them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from config import Settings
from models.pushes import Notification, Target
from notifier.outcome import Outcome

Report = Callable[[Target, Outcome], None]


class MintedToken(NamedTuple):
    """A provider's access token, new from the mint."""

    token: str
    # How long the provider takes it.
    lifetime_s: float


class ProviderTokens(Protocol):
    """Access tokens shared by all processes and hosts, made by one at a time."""

    async def get(self, name: str, mint: Callable[[], Awaitable[MintedToken]]) -> str:
        """The shared token of that name; `mint` is awaited only if it is our turn.

        Raises what `mint` raises (ChannelDown, or CredentialsRefused).
        """

    async def refused(self, name: str, token: str) -> None:
        """The provider called this very token expired: the next `get` mints anew."""


class CredentialsRefused(Exception):
    """The provider does not take our credentials; nothing but the operator helps."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Troubles(Protocol):
    """The board on which all processes see whose credentials are refused."""

    async def report(self, route: str, reason: str | None) -> None:
        """Why the route refuses our credentials, or None when it takes them.

        Never raises: pushes go on without it.
        """


class Channel(Protocol):
    """A provider of pushes. Made, used and closed on one event loop, by the engine."""

    def render(self, notification: Notification) -> Any:
        """The job's payload, built once; its result goes into `send` unread.

        Raises ValueError with the reason when this note can never be sent here.
        """

    async def send(
        self, rendered: Any, targets: Sequence[Target], report: Report
    ) -> None:
        """Push to every target; call `report` once for each, when its end is known.

        Returns when all have been reported. Raises ChannelDown when the provider
        cannot be reached: targets not reported by then are to be tried later.
        Several calls run at the same time and share the connections.
        """

    async def close(self) -> None:
        """End the connections; pushes under way are let go. May be called twice."""


class ChannelEntry(NamedTuple):
    """A channel that there is."""

    # Its `open` makes the channel, or returns None if the settings are not enough.
    module: str
    # Without this setting the module is not even imported.
    setting: str


REGISTRY = {
    "apns": ChannelEntry("notifier.channels.apns", "apns_topic"),
    "fcm": ChannelEntry("notifier.channels.fcm", "fcm_credentials_file"),
    "webpush": ChannelEntry("notifier.channels.webpush", "vapid_subject"),
    "email": ChannelEntry("notifier.channels.email", "smtp_url"),
}


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Mapping[str, Channel]:
    """The channels that the settings have credentials for, by platform.

    One whose credentials cannot be read is there too: it keeps the devices and says
    what is wrong, so that the others go on.
    """
    opened: dict[str, Channel] = {}
    for platform, entry in REGISTRY.items():
        if getattr(settings, entry.setting) is None:
            continue
        channel = import_module(entry.module).create(settings, tokens, troubles)
        if channel is not None:
            opened[platform] = channel
    return opened
