"""APNs or FCM of a real sandbox, with the channel that pushes to it."""

from pathlib import Path
from typing import Any

import config
from models.pushes import Target
from notifier.outcome import Kind, Outcome
from tests.support.channel_service import ChannelService
from tests.support.notifications import make_target
from tests.support.sandbox import Sandbox

HANGING = "hang"
RETRY_AFTER_S = 30

# The sandbox's magic tokens whose pushes end alike on both platforms.
MAGIC_TOKENS = {
    Kind.GONE: "unregistered-1",
    Kind.REFUSED: "payload-too-large",
    Kind.LATER: "503-after",
}
SUSPECT_TOKENS = {"apns": "not-for-topic", "fcm": "sender-mismatch"}
REFUSALS = {"apns": "answer-403-InvalidProviderToken", "fcm": "answer-403"}


class SandboxProvider(ChannelService):
    """One platform of the sandbox."""

    unsendable = {"data": {"k": "v" * 5000}}  # noqa: RUF012

    def __init__(self, sandbox: Sandbox, platform: str, run_dir: Path) -> None:
        super().__init__(
            config.from_env(
                {
                    **sandbox.environment,
                    "BOTTLEPOST_RUN_DIR": str(run_dir),
                    "BOTTLEPOST_SERVICE_KEY": "k" * 16,
                }
            )
        )
        self.platform = platform
        self.sandbox = sandbox

    async def push(self, *tokens: str, **changes: Any) -> list[Outcome]:
        """The outcomes, in the order of the device tokens."""
        return await self.outcomes(targets(*tokens), **changes)

    async def kinds(self, *tokens: str) -> list[str]:
        return [str(outcome.kind) for outcome in await self.push(*tokens)]

    def accepted_tokens(self) -> list[str]:
        """The device tokens whose pushes were accepted, in order of arrival."""
        return [push["token"] for push in self.sandbox.inbox()]

    def device(self, number: int, kind: Kind = Kind.ACCEPTED) -> Target:
        if kind is Kind.LATER:
            self.sandbox.control(retry_after_s=RETRY_AFTER_S)
        tokens = {**MAGIC_TOKENS, Kind.SUSPECT: SUSPECT_TOKENS[self.platform]}
        return make_target(number, tokens.get(kind, f"{number:08x}"))

    def hanging_device(self, number: int) -> Target:
        return make_target(number, HANGING)

    def accepted(self) -> list[int]:
        return [int(token, 16) for token in self.accepted_tokens()]

    def request_count(self) -> int:
        return len(self.sandbox.inbox(all=1))

    def refuse_credentials(self, *, refuse: bool = True) -> None:
        answer = REFUSALS[self.platform] if refuse else None
        self.sandbox.control(outage={self.platform: answer})

    async def stop(self) -> None:
        self.sandbox.kill()

    async def start(self) -> None:
        self.sandbox.start()


def targets(*tokens: str) -> list[Target]:
    return [make_target(number, token) for number, token in enumerate(tokens, start=1)]
