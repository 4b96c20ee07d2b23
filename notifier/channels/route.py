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
from notifier.channels.route_health import Fault, RouteHealth
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
    # Whether many of these are an outage of the whole route.
    is_server_error: Callable[[Response, Outcome], bool] = is_server_error
    # Whether members choose the server, path or app that responds.
    is_by_choice: bool = False


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
        reach: Alarm | None = None,
        breaker: Breaker | None = None,
        health: RouteHealth | None = None,
        probe_timeout_s: float = PROBE_TIMEOUT_S,
    ) -> None:
        self.breaker = breaker or Breaker()
        self._health = health or RouteHealth(is_by_choice=dialect.is_by_choice)
        self._client = client
        self._authorization = authorization
        self._dialect = dialect
        self._alarm = Alarm(name, troubles, dialect.explain)
        # Of the host, which other routes may share.
        self._reach = reach or self._alarm
        # Why the provider could not be reached, until it has answered.
        self._outage: str | None = None
        self._probe_timeout_s = probe_timeout_s
        self._probe_lock = asyncio.Lock()

    def check(self) -> None:
        """Raise what the breaker raises, if not even a probe would be sent."""
        if not self.breaker.may_probe_early:
            self.breaker.check()

    async def push(self, batch: PushBatch, *, with_alarm: bool = True) -> None:
        """Report an outcome for every target of the batch.

        Raises ChannelDown when the provider cannot be reached; a probe may have been
        reported by then. Without the alarm, the operator is not told of refused
        credentials, nor of the outage.
        """
        answers = self._client.answers
        try:
            await self._push(batch)
        except CredentialsRefused as refused:
            batch.end_unfinished(outcome_of(refused))
        except ChannelDown:
            if with_alarm and self._outage is not None:
                await self.tell_outage(self._outage)
            raise
        if not with_alarm:
            return
        if self._client.answers > answers:
            self._outage = None
            await self._reach.end_outage()
        refusal = self.breaker.refusal or self._health.refusal
        # Without an accepted push, it is not known that our credentials work.
        if refusal is not None or batch.accepted:
            if self._reach is not self._alarm:
                await self._reach.update(None)
            await self._alarm.update(refusal)

    async def tell_outage(self, reason: str) -> None:
        """Tell the operator that the provider cannot be reached."""
        await self._reach.update(reason, is_outage=True)

    async def _push(self, batch: PushBatch) -> None:
        indexes = self._not_held(batch)
        probes: list[asyncio.Task[None]] = []
        if self.breaker.is_open and indexes:
            indexes = self._health.by_trust(batch.targets, indexes)
            if not self._health.is_doubtful(batch.targets[indexes[0]]):
                async with self._probe_lock:
                    # Another batch's probe may have ended while we waited for the lock.
                    if self.breaker.is_open:
                        probes = await self._probe(batch, indexes)
        rest = indexes[len(probes) :]
        await wait_for_all([*probes, self._send_rest(batch, rest)])

    def _not_held(self, batch: PushBatch) -> Sequence[int]:
        """The indexes of the targets, without suspect devices whose pause lasts."""
        everyone = range(len(batch.targets))
        failing = self._health.failing_among(batch.targets)
        if not failing:
            return everyone
        batch.failing = frozenset(failing)
        for index in failing:
            if outcome := self._health.hold(batch.targets[index]):
                batch.end(index, outcome)
        return [index for index in everyone if not batch.ended[index]]

    async def _probe(
        self, batch: PushBatch, indexes: Sequence[int]
    ) -> list[asyncio.Task[None]]:
        """Send one push as a probe, and another one after each probe timeout.

        Returns when one of them has ended, or when there is nothing else to send.
        """
        probes: list[asyncio.Task[None]] = []
        try:
            for index in self._begin_probes(batch, indexes):
                probes.append(asyncio.create_task(self._send_probe(batch, index)))
                if await self._any_ends(probes, self._probe_timeout_s):
                    return probes
            if len(probes) == MAX_PROBES < len(indexes):
                await self._any_ends(probes, None)
        except BaseException:
            for probe in probes:
                probe.cancel()
            raise
        return probes

    def _begin_probes(self, batch: PushBatch, indexes: Sequence[int]) -> Sequence[int]:
        """The targets to probe with, the first of the indexes; raises as the breaker.

        A device that has not failed may be one while the pause lasts.
        """
        health = self._health
        if self.breaker.may_probe_early and indexes[0] not in batch.failing:
            self.breaker.begin_early_probe()
            return indexes[:1]
        self.breaker.check()
        self.breaker.begin_probe()
        chosen = indexes[:MAX_PROBES]
        trusted = [i for i in chosen if not health.is_doubtful(batch.targets[i])]
        batch.probes = frozenset(trusted)
        return trusted

    @staticmethod
    async def _any_ends(
        probes: list[asyncio.Task[None]], timeout_s: float | None
    ) -> bool:
        done, _ = await asyncio.wait(
            probes, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)

    async def _send_probe(self, batch: PushBatch, index: int) -> None:
        await self._send(batch, (index,))
        self.breaker.end_probe()

    async def _send_rest(self, batch: PushBatch, indexes: Sequence[int]) -> None:
        if indexes:
            self.breaker.check()
            await self._send(batch, indexes)

    async def _send(self, batch: PushBatch, indexes: Sequence[int]) -> None:
        """Send these; repeat once, with a new token, those whose token had expired."""
        answers = self._client.answers
        is_sending = False
        try:
            token = await self._authorization.token()
            is_sending = True
            expired = await self._exchange(batch, indexes, token)
            if not expired:
                return
            is_sending = False
            await self._authorization.token_expired(token)
            token = await self._authorization.token()
            is_sending = True
            await self._exchange(batch, expired, token, is_last=True)
        except CredentialsRefused as refused:
            self.breaker.open_for_refusal(str(refused))
            raise
        except ChannelDown as down:
            # The client names a pause only while it cannot reach the provider.
            is_reachable = down.retry_after_s is None
            if any(batch.ended[index] for index in indexes) or (
                is_reachable and self._client.answers > answers
            ):
                # No outage, because other pushes were answered: these have failed.
                self._end_silent(batch, indexes, down, is_evidence=False)
                return
            if is_sending and is_reachable and self._end_silent(batch, indexes, down):
                return
            self.breaker.open_for_outage(down.reason, down.retry_after_s)
            self._outage = down.reason
            raise

    def _end_silent(
        self,
        batch: PushBatch,
        indexes: Sequence[int],
        down: ChannelDown,
        *,
        is_evidence: bool = True,
    ) -> bool:
        """End the pushes without a response; False if the provider is at fault."""
        silent = [index for index in indexes if not batch.ended[index]]
        outcomes = [
            self._fail(
                batch,
                index,
                Fault.SILENCE,
                outcome_of(down),
                is_evidence=is_evidence,
            )
            for index in silent
        ]
        if is_evidence and self.breaker.is_open:
            return False
        for index, outcome in zip(silent, outcomes, strict=True):
            batch.end(index, outcome)
        return True

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
            self._accept(batch, [indexes[position] for position in positions])

        def on_response(position: int, response: Response) -> None:
            index = indexes[position]
            if response.status == 200:
                self._accept(batch, [index])
                return
            outcome = self._dialect.read(response, batch.targets[index])
            if outcome.kind is Kind.ACCEPTED:
                self._accept(batch, [index])
            elif not is_last and self._dialect.is_token_expired(response, outcome):
                expired.append(index)
            else:
                batch.end(index, self._judge(batch, index, response, outcome))

        requests = batch.requests
        if len(indexes) < len(requests):
            requests = [requests[index] for index in indexes]
        await self._client.send(batch.head(token), requests, on_response, on_accepted)
        # In the order of the batch, because they arrive in any.
        return sorted(expired)

    def _accept(self, batch: PushBatch, indexes: Sequence[int]) -> None:
        """The provider has accepted these; many at a time, on the hot path."""
        health, targets = self._health, batch.targets
        health.accept(targets[indexes[0]], is_sample=not batch.accepted)
        if self.breaker.is_open and self.breaker.accept():
            health.contradict()
        if batch.failing:
            recovered = batch.failing.intersection(indexes)
            for index in recovered:
                health.recover(targets[index])
                batch.recover(index)
            indexes = [index for index in indexes if index not in recovered]
        if indexes:
            batch.accept(indexes)

    def _judge(
        self, batch: PushBatch, index: int, response: Response, outcome: Outcome
    ) -> Outcome:
        """Note what the response says about the route; returns what to report."""
        if self._dialect.is_route_rate_limit(response, outcome):
            self.breaker.open_for_rate_limit(outcome.reason, outcome.retry_after_s)
            return outcome
        if self._dialect.is_server_error(response, outcome):
            # A rate limit says how long the device has to wait: it is not suspect.
            is_counted = response.status >= 500
            return self._fail(batch, index, Fault.ERROR, outcome, is_counted=is_counted)
        is_route_wide = outcome.reason not in self._dialect.device_reasons
        if outcome.kind is Kind.CREDENTIALS and is_route_wide:
            return self._fail(batch, index, Fault.REFUSAL, outcome)
        self._health.answer()
        return outcome

    def _fail(
        self,
        batch: PushBatch,
        index: int,
        fault: Fault,
        outcome: Outcome,
        *,
        is_counted: bool = True,
        is_evidence: bool = True,
    ) -> Outcome:
        """A device failed; opens the breaker if the route is at fault."""
        health, target = self._health, batch.targets[index]
        is_probe = is_evidence and index in batch.probes
        if fault is Fault.REFUSAL and self.breaker.refusal is None:
            # The outage is over; a single refusal is another matter.
            is_probe = False
        is_evidence = is_evidence and not health.is_doubtful(target)
        reported = health.fail(
            target,
            fault,
            outcome,
            is_counted=is_counted and not self.breaker.is_open,
            is_evidence=is_evidence,
        )
        if is_probe or (is_evidence and health.is_at_fault(fault)):
            if fault is Fault.REFUSAL:
                self.breaker.open_for_refusal(outcome.reason, is_judged=True)
            else:
                pause_s = outcome.retry_after_s
                self.breaker.open_for_outage(outcome.reason, pause_s, is_judged=True)
            health.forgive(fault)
        return reported
