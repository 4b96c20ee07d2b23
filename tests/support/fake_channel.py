"""A fake channel for tests of the engine, in the test's own process."""

import asyncio
from collections.abc import Callable, Sequence

from models.pushes import Notification, Target
from notifier.channels import Report
from notifier.outcome import ACCEPTED, Outcome

Answer = Callable[[Target], Outcome]


class FakeChannel:
    """Records every push; `answer` gives its outcome, a cleared `gate` delays all."""

    awaits_token = False

    def __init__(self, answer: Answer = lambda target: ACCEPTED) -> None:
        self.answer = answer
        self.pushed: list[tuple[str, Target]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()

    def render(self, notification: Notification) -> Notification:
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        self.reached.set()
        await self.gate.wait()
        for target in targets:
            self.pushed.append((rendered.text, target))
            report((target,), self.answer(target))

    async def close(self) -> None:
        pass

    def texts(self) -> list[str]:
        return [text for text, _ in self.pushed]

    def devices(self) -> list[int]:
        return [target.device_id for _, target in self.pushed]
