"""The real channels, opened on the settings of a real sandbox."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import config
from models.pushes import Notification
from notifier import channels
from notifier.channels import Channel, MintedToken
from notifier.outcome import ChannelDown, Kind, Outcome
from tests.support.fake_provider import RecordedTroubles
from tests.support.notifications import Reports, make_notification, make_target
from tests.support.sandbox import Sandbox


class MintingTokens:
    """Tokens of the channel's own mint, kept in memory."""

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


class Provider:
    """One platform of the sandbox; every `push` is a run of its own."""

    def __init__(self, sandbox: Sandbox, platform: str, run_dir: Path) -> None:
        self.sandbox = sandbox
        self.platform = platform
        self.tokens: Any = MintingTokens()
        self.troubles = RecordedTroubles()
        self._run_dir = run_dir

    def open(self, **changes: str) -> Channel:
        environ = {
            **self.sandbox.environment,
            "BOTTLEPOST_RUN_DIR": str(self._run_dir),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
        }
        settings = config.from_env(
            {name: value for name, value in (environ | changes).items() if value}
        )
        return channels.create(settings, self.tokens, self.troubles)[self.platform]

    def push(
        self,
        *device_tokens: str,
        notification: Notification | None = None,
        **changes: str,
    ) -> list[Outcome]:
        """The outcomes, in order; LATER for those that the channel left open."""

        async def run() -> list[Outcome]:
            channel = self.open(**changes)
            try:
                return await push_to(
                    channel, device_tokens, notification or make_notification()
                )
            finally:
                await channel.close()

        return asyncio.run(run())

    def kinds(self, *device_tokens: str) -> list[str]:
        return [str(outcome.kind) for outcome in self.push(*device_tokens)]


async def push_to(
    channel: Channel, device_tokens: Sequence[str], notification: Notification
) -> list[Outcome]:
    """Push as the engine does: what has no outcome of its own is tried later."""
    reports = Reports()
    targets = [make_target(n, token) for n, token in enumerate(device_tokens, 1)]
    rest = Outcome(Kind.LATER, "unreported")
    try:
        await channel.send(channel.render(notification), targets, reports)
        assert len(reports.by_device) == len(targets)
    except ChannelDown as down:
        rest = Outcome(Kind.LATER, down.reason, down.retry_after_s)
    return [reports.by_device.get(target.device_id, rest) for target in targets]
