"""A route to a provider that is all in the test's hand, and waves over it."""

import asyncio

from models.base import utc_now
from notifier.channels import responses
from notifier.channels.authorization import ByToken
from notifier.channels.breaker import Breaker
from notifier.channels.route import Dialect, PushBatch, Route
from notifier.http2 import Head, Request, Response
from notifier.outcome import Kind, Outcome
from tests.support.pushes import (
    OK,
    Answer,
    NotedTroubles,
    Reports,
    Told,
    ToldClient,
    ToldTokens,
    make_target,
)

NAMES = {
    400: Kind.REFUSED,
    403: Kind.CREDENTIALS,
    429: Kind.LATER,
    500: Kind.LATER,
}
REFUSED = Response(403, (), b"BadKey")
STALE = Response(403, (), b"Stale")


def read(response: Response, target: object) -> Outcome:
    pause_s = responses.retry_after_s(response.headers, utc_now())
    return Outcome(NAMES[response.status], response.body.decode(), pause_s)


DIALECT = Dialect(
    read,
    lambda response, outcome: outcome.reason == "Stale",
    frozenset({"NotOurs"}),
    lambda reason: f"<{reason}>",
    is_route_wide=lambda response, outcome: outcome.reason == "AllMustWait",
)


class World:
    """A route whose provider, clock, tokens and board are in the test's hand."""

    def __init__(
        self,
        answer: Answer = lambda head, request: OK,
        *,
        dialect: Dialect = DIALECT,
    ) -> None:
        self.now = 0.0
        self.client = ToldClient(answer)
        self.tokens = ToldTokens()
        self.troubles = NotedTroubles()
        self.route = Route(
            "apns harbour",
            self.client,  # type: ignore[arg-type]
            ByToken(self.tokens, "name", self._mint),
            dialect,
            self.troubles,
            breaker=Breaker(clock=lambda: self.now),
            patience_s=0.02,
        )

    async def _mint(self) -> None:
        raise AssertionError("the told tokens mint by themselves")

    def push(self, devices: int, *, quietly: bool = False) -> Reports:
        reports = Reports()
        asyncio.run(self.route.push(wave_of(devices, reports), quietly=quietly))
        return reports

    def told(self) -> list[str | None]:
        """What was written on the board about this route, in order."""
        return [
            reason
            for route, reason in self.troubles.notifications
            if route == "apns harbour"
        ]

    def sent(self) -> list[bytes]:
        return [request.body for _, request in self.client.sent]


def wave_of(devices: int, reports: Reports, first: int = 0) -> PushBatch:
    """To devices whose requests have their numbers as bodies, from the first on."""
    numbers = range(first, first + devices)
    targets = [make_target(n) for n in numbers]
    requests = [Request(b"%d" % n) for n in numbers]
    return PushBatch(
        lambda token: Head((("t", str(token)),)), requests, targets, reports
    )


def always(response: Told) -> Answer:
    return lambda head, request: response


def by_body(special: dict[bytes, Told]) -> Answer:
    return lambda head, request: special.get(request.body, OK)
