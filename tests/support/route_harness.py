"""A route on a fake provider, and batches of pushes for it."""

import asyncio

from models.base import utc_now
from notifier.channels import responses
from notifier.channels.authorization import TokenAuthorization
from notifier.channels.batch import PushBatch
from notifier.channels.breaker import Breaker
from notifier.channels.route import Dialect, Route
from notifier.channels.route_health import RouteHealth
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown, Kind, Outcome
from tests.support.clock import Clock
from tests.support.fake_provider import (
    ACCEPT,
    OK,
    Answer,
    FakeClient,
    FakeTokens,
    RecordedTroubles,
    Result,
)
from tests.support.notifications import Reports, make_target

KINDS = {
    400: Kind.REFUSED,
    403: Kind.CREDENTIALS,
    429: Kind.LATER,
    500: Kind.LATER,
}
# As the client says while it cannot connect.
UNREACHABLE = ChannelDown("unreachable", retry_after_s=1)
REFUSED = Response(403, (), b"BadKey")
TOKEN_EXPIRED = Response(403, (), b"TokenExpired")


def read(response: Response, target: object) -> Outcome:
    pause_s = responses.retry_after_s(response.headers, utc_now())
    return Outcome(KINDS[response.status], response.body.decode(), pause_s)


DIALECT = Dialect(
    read,
    lambda response, outcome: outcome.reason == "TokenExpired",
    frozenset({"NotOurs"}),
    lambda reason: f"<{reason}>",
    is_route_rate_limit=lambda response, outcome: outcome.reason == "AllMustWait",
)


class RouteHarness:
    """A route whose provider, clock, tokens and troubles the test controls."""

    def __init__(
        self,
        answer: Answer = ACCEPT,
        *,
        dialect: Dialect = DIALECT,
    ) -> None:
        self.clock = Clock(0.0)
        self.client = FakeClient(answer)
        self.tokens = FakeTokens()
        self.troubles = RecordedTroubles()
        self.route = Route(
            "apns harbour",
            self.client,  # type: ignore[arg-type]
            TokenAuthorization(self.tokens, "name", self._mint),
            dialect,
            self.troubles,
            breaker=Breaker(clock=self.clock),
            health=RouteHealth(is_by_choice=dialect.is_by_choice, clock=self.clock),
            probe_timeout_s=0.02,
        )

    async def _mint(self) -> None:
        raise AssertionError("the fake tokens need no mint")

    def push(self, devices: int, *, first: int = 0, with_alarm: bool = True) -> Reports:
        reports = Reports()
        batch = batch_of(devices, reports, first)
        asyncio.run(self.route.push(batch, with_alarm=with_alarm))
        return reports

    def reported(self) -> list[str | None]:
        """The reports about this route's credentials, in order."""
        return [
            reason for route, reason in self.troubles.reports if route == "apns harbour"
        ]

    def sent(self) -> list[bytes]:
        return [request.body for _, request in self.client.sent]


def batch_of(devices: int, reports: Reports, first: int = 0) -> PushBatch:
    """To devices with numbers from `first` on, which are the requests' bodies."""
    numbers = range(first, first + devices)
    targets = [make_target(n) for n in numbers]
    requests = [Request(b"%d" % n) for n in numbers]
    return PushBatch(
        lambda token: Head((("t", str(token)),)), requests, targets, reports
    )


def by_body(special: dict[bytes, Result]) -> Answer:
    return lambda head, request: special.get(request.body, OK)
