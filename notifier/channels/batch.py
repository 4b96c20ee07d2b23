"""Batches of pushes, and which of their targets have an outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from models.pushes import Target
from notifier.channels import CredentialsRefused, Report
from notifier.http2 import Head, Request
from notifier.outcome import ACCEPTED, RECOVERED, ChannelDown, Kind, Outcome


class PushBatch:
    """Requests that are sent together, and which of them have an outcome."""

    def __init__(
        self,
        head: Callable[[str | None], Head],
        requests: Sequence[Request],
        targets: Sequence[Target],
        report: Report,
    ) -> None:
        # The headers that the requests share, given the provider token.
        self.head = head
        self.requests = requests
        self.targets = targets
        self.report = report
        self.ended = bytearray(len(targets))
        # Whether the provider has accepted one of them.
        self.accepted = False
        # Which of them are probes: they judge their route alone.
        self.probes: frozenset[int] = frozenset()
        # Which of them have failed since they last accepted.
        self.failing: frozenset[int] = frozenset()

    def end(self, index: int, outcome: Outcome) -> None:
        self.ended[index] = 1
        self.report((self.targets[index],), outcome)

    def accept(self, indexes: Sequence[int]) -> None:
        """The provider has accepted these; many at a time, on the hot path."""
        self.accepted = True
        ended, targets = self.ended, self.targets
        for index in indexes:
            ended[index] = 1
        self.report([targets[index] for index in indexes], ACCEPTED)

    def recover(self, index: int) -> None:
        """The provider has accepted a device that had failed before."""
        self.accepted = True
        self.end(index, RECOVERED)

    def end_unfinished(
        self, outcome: Outcome, among: Iterable[int] | None = None
    ) -> None:
        """Report the outcome for all pushes that have none yet, or for some of them."""
        for index in range(len(self.ended)) if among is None else among:
            if not self.ended[index]:
                self.end(index, outcome)


def outcome_of(error: ChannelDown | CredentialsRefused) -> Outcome:
    """The outcome of a push that could not be sent because of the error."""
    is_refusal = isinstance(error, CredentialsRefused)
    kind = Kind.CREDENTIALS if is_refusal else Kind.LATER
    return Outcome(kind, str(error), error.retry_after_s)


async def wait_for_all(pushes: Iterable[Awaitable[None]]) -> None:
    """Wait for all of them, even when one raises; then raise the first error."""
    pushes = list(pushes)
    if len(pushes) == 1:
        # Most small conversations: a task of its own would double the work.
        await pushes[0]
        return
    results = await asyncio.gather(*pushes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
