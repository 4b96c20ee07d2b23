"""Fakes of what a channel is built on: a provider's client, tokens and troubles."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from notifier.http2 import Head, Request, Response

# A response, or the error that the client raises.
Result = Response | Exception
Answer = Callable[[Head, Request], Result | Awaitable[Result]]
OK = Response(200, (), b"")


def always(result: Result) -> Answer:
    return lambda head, request: result


ACCEPT = always(OK)


class FakeClient:
    """Replaces an `http2.Client`: takes the response to each request from `answer`.

    An awaitable response delays the requests behind it. With `is_backwards` the last
    request of a call is answered first.
    """

    authority = "provider.test"

    def __init__(self, answer: Answer = ACCEPT) -> None:
        self.answer = answer
        self.is_backwards = False
        self.sent: list[tuple[Head, Request]] = []
        self.answers = 0

    async def send(
        self,
        head: Head,
        requests: Sequence[Request],
        on_response: Any,
        on_accepted: Any = None,
    ) -> None:
        order = list(enumerate(requests))
        for index, request in reversed(order) if self.is_backwards else order:
            self.sent.append((head, request))
            result = self.answer(head, request)
            answer = await result if isinstance(result, Awaitable) else result
            if isinstance(answer, Exception):
                raise answer
            self.answers += 1
            if on_accepted is not None and answer == OK:
                on_accepted((index,))
            else:
                on_response(index, answer)

    async def close(self) -> None:
        self.answer = always(RuntimeError("closed"))


class FakeTokens:
    """Provider tokens "t1", "t2" …: a new one after each refusal."""

    def __init__(self) -> None:
        self.number = 1

    async def get(self, name: str, mint: Any) -> str:
        return f"t{self.number}"

    async def refused(self, name: str, token: str) -> None:
        assert token == f"t{self.number}"
        self.number += 1


class RecordedTroubles:
    """Remembers what was reported about each route, in order."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str | None]] = []
        self.missing: list[str] = []
        self.missing_since: datetime | None = None
        self.live: set[str] = set()

    async def report(self, route: str, reason: str | None) -> None:
        self.reports.append((route, reason))

    async def host_missing(self, host: str) -> datetime | None:
        self.missing.append(host)
        return self.missing_since

    async def is_live(self, platform: str) -> bool:
        return platform in self.live

    async def host_found(self, host: str) -> None:
        self.missing.remove(host)

    def standing(self) -> dict[str, str]:
        """Route → why it refuses our credentials, unless that has ended."""
        return {route: why for route, why in dict(self.reports).items() if why}

    def reasons(self) -> list[str]:
        """The reasons of all refusals, without their ends."""
        return [reason for _, reason in self.reports if reason is not None]
