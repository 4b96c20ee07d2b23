"""A route: one host of a provider with one credential, behind a circuit breaker."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from models.pushes import Target
from notifier.channels import CredentialsRefused, Troubles
from notifier.channels.authorization import Authorization
from notifier.channels.batch import PushBatch, outcome_of, wait_for_all
from notifier.channels.breaker import Breaker
from notifier.channels.operator_alarm import Alarm
from notifier.http2 import Client, Response
from notifier.outcome import ChannelDown, Kind, Outcome

# A probe without a response after this time may have hit a faulty device: send another.
PROBE_TIMEOUT_S = 2.0
# When this many devices get no response, the provider is at fault.
MAX_PROBES = 3


def never(response: Response, outcome: Outcome) -> bool:
    return False


def is_server_error(response: Response, outcome: Outcome) -> bool:
    return response.status >= 500


class Dialect(NamedTuple):
    """How to read the responses of a provider."""

    # The outcome of the target's push, from a response other than 200.
    read: Callable[[Response, Target], Outcome]
    # Whether our provider token has expired.
    is_token_expired: Callable[[Response, Outcome], bool] = never
    # Reasons about credentials that concern single devices and not the whole route.
    device_reasons: frozenset[str] = frozenset()
    # A reason about credentials, in words for people.
    explain: Callable[[str], str] = str
    # Whether the whole route has to wait, and not one device.
    is_route_rate_limit: Callable[[Response, Outcome], bool] = never
    # Whether many of these in a row are an outage of the whole route.
    is_server_error: Callable[[Response, Outcome], bool] = is_server_error


class Route:
    """Sends batches of pushes. Used on one event loop, by many tasks at a time."""

    def __init__(
        self,
        name: str,
        client: Client,
        authorization: Authorization,
        dialect: Dialect,
        troubles: Troubles,
        *,
        breaker: Breaker | None = None,
        probe_timeout_s: float = PROBE_TIMEOUT_S,
    ) -> None:
        self.breaker = breaker or Breaker()
        self._client = client
        self._authorization = authorization
        self._dialect = dialect
        self._alarm = Alarm(name, troubles, dialect.explain)
        self._probe_timeout_s = probe_timeout_s
        self._probe_lock = asyncio.Lock()

    async def push(self, batch: PushBatch, *, with_alarm: bool = True) -> None:
        """Report an outcome for every target of the batch.

        Raises ChannelDown when the provider cannot be reached; a probe may have been
        reported by then. Without the alarm, the operator is not told of refused
        credentials.
        """
        try:
            await self._push(batch)
        except CredentialsRefused as refused:
            batch.end_unfinished(outcome_of(refused))
        refusal = self.breaker.refusal
        # Without an accepted push, it is not known that our credentials work.
        if with_alarm and (refusal is not None or batch.accepted):
            await self._alarm.update(refusal)

    async def _push(self, batch: PushBatch) -> None:
        probes: list[asyncio.Task[None]] = []
        if self.breaker.is_open:
            async with self._probe_lock:
                # Another batch's probe may have ended while we waited for the lock.
                self.breaker.check()
                if self.breaker.is_open:
                    probes = await self._probe(batch)
        rest = range(len(probes), len(batch.targets))
        await wait_for_all([*probes, self._send_rest(batch, rest)])

    async def _probe(self, batch: PushBatch) -> list[asyncio.Task[None]]:
        """Send one push as a probe, and another one after each probe timeout.

        Returns when one of them has ended, or when there is nothing else to send.
        """
        self.breaker.begin_probe()
        probes: list[asyncio.Task[None]] = []
        count = min(MAX_PROBES, len(batch.targets))
        try:
            for index in range(count):
                probes.append(asyncio.create_task(self._send_probe(batch, index)))
                if await self._any_ends(probes, self._probe_timeout_s):
                    return probes
            if count < len(batch.targets):
                await self._any_ends(probes, None)
        except BaseException:
            for probe in probes:
                probe.cancel()
            raise
        return probes

    @staticmethod
    async def _any_ends(
        probes: list[asyncio.Task[None]], timeout_s: float | None
    ) -> bool:
        done, _ = await asyncio.wait(
            probes, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
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
        """Send these; repeat once, with a new token, those whose token had expired."""
        answers = self._client.answers
        try:
            token = await self._authorization.token()
            expired = await self._exchange(batch, indexes, token)
            if not expired:
                return
            await self._authorization.token_expired(token)
            token = await self._authorization.token()
            await self._exchange(batch, expired, token, is_last=True)
        except CredentialsRefused as refused:
            self.breaker.open_for_refusal(str(refused))
            raise
        except ChannelDown as down:
            # The client names a pause only while it cannot reach the provider.
            is_reachable = down.retry_after_s is None and self._client.answers > answers
            if is_reachable or any(batch.ended[index] for index in indexes):
                # No outage, because other pushes were answered: these have failed.
                batch.end_unfinished(outcome_of(down), indexes)
                return
            self.breaker.open_for_outage(down.reason, down.retry_after_s)
            raise

    async def _exchange(
        self,
        batch: PushBatch,
        indexes: Sequence[int],
        token: str | None,
        *,
        is_last: bool = False,
    ) -> list[int]:
        """Send one request each; returns those whose provider token had expired."""
        expired: list[int] = []

        def on_accepted(positions: Sequence[int]) -> None:
            self.breaker.server_errors = 0
            batch.accept([indexes[position] for position in positions])

        def on_response(position: int, response: Response) -> None:
            if response.status == 200:
                on_accepted((position,))
                return
            index = indexes[position]
            outcome = self._dialect.read(response, batch.targets[index])
            if not is_last and self._dialect.is_token_expired(response, outcome):
                expired.append(index)
                return
            self._update_breaker(batch, response, outcome)
            batch.end(index, outcome)

        requests = batch.requests
        if len(indexes) < len(requests):
            requests = [requests[index] for index in indexes]
        await self._client.send(batch.head(token), requests, on_response, on_accepted)
        # If other pushes of the batch were accepted, our credentials are not at fault.
        if batch.refusal is not None and not batch.accepted:
            self.breaker.open_for_refusal(batch.refusal)
        # In the order of the batch, because they arrive in any.
        return sorted(expired)

    def _update_breaker(
        self, batch: PushBatch, response: Response, outcome: Outcome
    ) -> None:
        if self._dialect.is_route_rate_limit(response, outcome):
            self.breaker.open_for_rate_limit(outcome.reason, outcome.retry_after_s)
            return
        if self._dialect.is_server_error(response, outcome):
            self.breaker.count_server_error(outcome.reason, outcome.retry_after_s)
            return
        self.breaker.server_errors = 0
        is_route_wide = outcome.reason not in self._dialect.device_reasons
        if outcome.kind is Kind.CREDENTIALS and is_route_wide:
            batch.refusal = outcome.reason
