"""A channel as the registry creates it, with the provider that it pushes to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from config import Settings
from models.pushes import Notification, Target
from notifier.channels import Channel, MintedToken, registry
from notifier.outcome import ChannelDown, Kind, Outcome
from tests.support.fake_provider import RecordedTroubles
from tests.support.notifications import Reports, make_notification


class MintingTokens:
    """Provider tokens from the channel's own mint, kept in memory."""

    def __init__(self) -> None:
        self.minted = 0
        self._tokens: dict[str, str] = {}

    async def get(self, name: str, mint: Callable[[], Awaitable[MintedToken]]) -> str:
        if name not in self._tokens:
            self.minted += 1
            self._tokens[name] = (await mint()).token
        return self._tokens[name]

    async def refused(self, name: str, token: str) -> None:
        self._tokens.pop(name, None)


class ChannelService:
    """The interface of the contract tests to a provider, whichever it is."""

    platform: str
    # Changes of a notification that the channel can never send.
    unsendable: dict[str, Any]
    # Whether the provider can say how long to wait.
    has_retry_after = True
    # How many devices a test with many devices has.
    many = 1000
    # Whether one outage concerns all devices, so that it is raised and not reported.
    has_one_provider = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = MintingTokens()
        self.troubles = RecordedTroubles()
        self._channel: Channel | None = None

    def configure(self, **changes: Any) -> None:
        """Change settings; only before the first use of the channel."""
        assert self._channel is None
        self.settings = replace(self.settings, **changes)

    @property
    def channel(self) -> Channel:
        """The channel, created at its first use."""
        if self._channel is None:
            created = registry.create(self.settings, self.tokens, self.troubles)
            self._channel = created[self.platform]
        return self._channel

    async def send(self, targets: Sequence[Target], **changes: Any) -> Reports:
        """Push a notification with these changes; raises what the channel raises."""
        reports = Reports()
        rendered = self.channel.render(make_notification(**changes))
        await self.channel.send(rendered, targets, reports)
        assert len(reports.by_device) == len(targets)
        return reports

    async def outcomes(
        self, targets: Sequence[Target], **changes: Any
    ) -> list[Outcome]:
        return await push_to(self.channel, targets, make_notification(**changes))

    async def aclose(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    # -- each provider has its own

    def device(self, number: int, kind: Kind = Kind.ACCEPTED) -> Target:
        """A device whose pushes end like this."""
        raise NotImplementedError

    def hanging_device(self, number: int) -> Target:
        """A device whose pushes get no response."""
        raise NotImplementedError

    def stop_hanging(self) -> None:
        """Respond to later pushes again, where a hanging device delays them all."""

    def accepted(self) -> list[int]:
        """The ids of the devices whose pushes were accepted, in order."""
        raise NotImplementedError

    def request_count(self) -> int:
        """How many requests have arrived, whatever the response."""
        raise NotImplementedError

    def refuse_credentials(self, *, refuse: bool = True) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        """Refuse connections until `start`."""
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError


async def push_to(
    channel: Channel, targets: Sequence[Target], notification: Notification
) -> list[Outcome]:
    """The outcomes as the engine sees them: LATER for a target not reported."""
    reports = Reports()
    unreported = Outcome(Kind.LATER, "unreported")
    rendered = channel.render(notification)
    try:
        await channel.send(rendered, targets, reports)
        assert len(reports.by_device) == len(targets)
    except ChannelDown as down:
        unreported = Outcome(Kind.LATER, down.reason, down.retry_after_s)
    return [reports.by_device.get(target.device_id, unreported) for target in targets]
