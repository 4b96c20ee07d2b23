"""One way to a provider: a host under one credential, guarded by a breaker."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from models.pushes import Target
from notifier.channels import CredentialsRefused, Report, Troubles
from notifier.channels.alarm import Alarm
from notifier.channels.authorization import Authorization
from notifier.channels.breaker import Breaker
from notifier.http2 import Client, Head, Request, Response
from notifier.outcome import ACCEPTED, ChannelDown, Kind, Outcome

# A probe that is silent for so long may have met a device that is to blame.
PATIENCE_S = 2.0
# So many devices that are all silent are the provider's trouble.
MOST_PROBES = 3


def never(response: Response, outcome: Outcome) -> bool:
    return False


def is_server_error(response: Response, outcome: Outcome) -> bool:
    return response.status >= 500


class Dialect(NamedTuple):
    """How a provider's answers are to be read."""

    # An answer other than 200, as the outcome of the target's push.
    read: Callable[[Response, Target], Outcome]
    # Whether it says that our provider token has become too old.
    is_stale: Callable[[Response, Outcome], bool]
    # Words about credentials that concern single devices and not the whole route.
    device_only: frozenset[str] = frozenset()
    # A reason about credentials, in words for people.
    explain: Callable[[str], str] = str
    # Whether it tells all of the route, and not one device, to wait.
    is_route_wide: Callable[[Response, Outcome], bool] = never
    # Whether it is trouble that concerns all of the route if many have it in a row.
    is_server_error: Callable[[Response, Outcome], bool] = is_server_error


class PushBatch:
    """Requests that are sent together, and which of them have come to an end."""

    def __init__(
        self,
        head: Callable[[str | None], Head],
        requests: Sequence[Request],
        targets: Sequence[Target],
        report: Report,
    ) -> None:
        # What the requests share, given the provider token.
        self.head = head
        self.requests = requests
        self.targets = targets
        self.report = report
        self.ended = bytearray(len(targets))
        self.accepted = False
        # What was said against our credentials.
        self.refusal: str | None = None

    def end(self, index: int, outcome: Outcome) -> None:
        self.ended[index] = 1
        self.report(self.targets[index], outcome)

    def end_rest(self, outcome: Outcome, among: Iterable[int] | None = None) -> None:
        """End what has no end yet, of all or of some."""
        for index in range(len(self.ended)) if among is None else among:
            if not self.ended[index]:
                self.end(index, outcome)


async def all_of(pushes: Iterable[Awaitable[None]]) -> None:
    """Wait for all of them, also when one ends in trouble; then raise that."""
    pushes = list(pushes)
    if len(pushes) == 1:
        # As with most small conversations: a task of its own would be half the work.
        await pushes[0]
        return
    ends = await asyncio.gather(*pushes, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end


class Route:
    """Sends waves of pushes. Used from one event loop, by many tasks at a time."""

    def __init__(
        self,
        name: str,
        client: Client,
        authorization: Authorization,
        dialect: Dialect,
        troubles: Troubles,
        *,
        breaker: Breaker | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.name = name
        self.breaker = breaker or Breaker()
        self._client = client
        self._authorization = authorization
        self._dialect = dialect
        self._alarm = Alarm(name, troubles, dialect.explain)
        self._patience_s = patience_s
        self._probing = asyncio.Lock()

    async def push(self, batch: PushBatch, *, quietly: bool = False) -> None:
        """Report an outcome for every target of the wave.

        Raises ChannelDown when the provider cannot be reached; a probe may have been
        reported by then. `quietly` keeps trouble with credentials from the operator.
        """
        try:
            await self._push(batch)
        except CredentialsRefused as refused:
            batch.end_rest(
                Outcome(Kind.CREDENTIALS, str(refused), refused.retry_after_s)
            )
        trouble = self.breaker.refusal
        # A wave that nobody took says nothing in favour of our credentials.
        if not quietly and (trouble is not None or batch.accepted):
            await self._alarm.tell(trouble)

    async def _push(self, batch: PushBatch) -> None:
        probes: list[asyncio.Task[None]] = []
        if self.breaker.is_open:
            async with self._probing:
                # Somebody else's probe may have ended while we waited for ours.
                self.breaker.check()
                if self.breaker.is_open:
                    probes = await self._probe(batch)
        rest = range(len(probes), len(batch.targets))
        await all_of([*probes, self._send_rest(batch, rest)])

    async def _probe(self, batch: PushBatch) -> list[asyncio.Task[None]]:
        """One push goes ahead, and another for each that is silent.

        Returns when one of them has ended, or when there is nothing else to send.
        """
        self.breaker.begin_probe()
        probes: list[asyncio.Task[None]] = []
        most = min(MOST_PROBES, len(batch.targets))
        try:
            for index in range(most):
                probes.append(asyncio.create_task(self._send_probe(batch, index)))
                if await self._any_ends(probes, self._patience_s):
                    return probes
            if most < len(batch.targets):
                await self._any_ends(probes, None)
        except BaseException:
            for probe in probes:
                probe.cancel()
            raise
        return probes

    @staticmethod
    async def _any_ends(
        probes: list[asyncio.Task[None]], patience_s: float | None
    ) -> bool:
        done, _ = await asyncio.wait(
            probes, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)

    async def _send_probe(self, batch: PushBatch, index: int) -> None:
        await self._send(batch, range(index, index + 1))
        self.breaker.end_probe()

    async def _send_rest(self, batch: PushBatch, indexes: Sequence[int]) -> None:
        if indexes:
            self.breaker.check()
            await self._send(batch, indexes)

    async def _send(self, batch: PushBatch, indexes: Sequence[int]) -> None:
        """Send these; with a new provider token once again those it was too old for."""
        answers = self._client.answers
        try:
            token = await self._authorization.token()
            stale = await self._exchange(batch, indexes, token)
            if not stale:
                return
            await self._authorization.refused(token)
            token = await self._authorization.token()
            await self._exchange(batch, stale, token, is_last=True)
        except CredentialsRefused as refused:
            self.breaker.refused(str(refused))
            raise
        except ChannelDown as down:
            # A pause is what the client names while it cannot reach the provider.
            is_there = down.retry_after_s is None and self._client.answers > answers
            if is_there or any(batch.ended[index] for index in indexes):
                # No outage: others have their answers. These had their try.
                later = Outcome(Kind.LATER, down.reason, down.retry_after_s)
                batch.end_rest(later, indexes)
                return
            self.breaker.down(down.reason, down.retry_after_s)
            raise

    async def _exchange(
        self,
        batch: PushBatch,
        indexes: Sequence[int],
        token: str | None,
        *,
        is_last: bool = False,
    ) -> list[int]:
        """One request and answer each; returns those refused for the token's age."""
        stale: list[int] = []

        def on_response(position: int, response: Response) -> None:
            index = indexes[position]
            if response.status == 200:
                self.breaker.server_errors = 0
                batch.accepted = True
                batch.end(index, ACCEPTED)
                return
            outcome = self._dialect.read(response, batch.targets[index])
            if not is_last and self._dialect.is_stale(response, outcome):
                stale.append(index)
                return
            self._learn(batch, response, outcome)
            batch.end(index, outcome)

        requests = batch.requests
        if len(indexes) < len(requests):
            requests = [requests[index] for index in indexes]
        await self._client.send(batch.head(token), requests, on_response)
        # Credentials that others of the same wave came through with are not to blame.
        if batch.refusal is not None and not batch.accepted:
            self.breaker.refused(batch.refusal)
        return stale

    def _learn(self, batch: PushBatch, response: Response, outcome: Outcome) -> None:
        if self._dialect.is_route_wide(response, outcome):
            self.breaker.put_off(outcome.reason, outcome.retry_after_s)
            return
        if self._dialect.is_server_error(response, outcome):
            self.breaker.count_server_error(outcome.reason, outcome.retry_after_s)
            return
        self.breaker.server_errors = 0
        is_ours = outcome.reason not in self._dialect.device_only
        if outcome.kind is Kind.CREDENTIALS and is_ours:
            batch.refusal = outcome.reason
