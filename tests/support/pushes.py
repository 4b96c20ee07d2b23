"""Notes and targets, and a client of a provider that answers as told."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from models.pushes import Notification, Target
from notifier.http2 import Head, Request, Response
from notifier.outcome import Outcome

EXPIRES_AT = datetime(2100, 1, 1, tzinfo=UTC)
REGISTERED_AT = datetime(2025, 1, 1, tzinfo=UTC)

Told = Response | Exception
Answer = Callable[[Head, Request], Told | Awaitable[Told]]
OK = Response(200, (), b"")


def make_notification(**changes: Any) -> Notification:
    values: dict[str, Any] = {
        "job_id": 1,
        "message_id": 7,
        "chat_id": 3,
        "chat_name": "Harbour",
        "seq": 5,
        "sender_name": "Ada",
        "text": "Ship ahoy",
        "created_at": REGISTERED_AT,
        "expires_at": EXPIRES_AT,
    }
    return Notification(**values | changes)


def make_target(device_id: int = 1, token: str = "aa", **changes: Any) -> Target:
    values: dict[str, Any] = {
        "user_id": device_id,
        "device_id": device_id,
        "platform": "apns",
        "token": token,
        "app": None,
        "environment": "production",
        "registered_at": REGISTERED_AT,
        "badge": 2,
    }
    return Target(**values | changes)


class Reports:
    """Outcomes by device; a device that is reported twice fails the test."""

    def __init__(self) -> None:
        self.by_device: dict[int, Outcome] = {}

    def __call__(self, target: Target, outcome: Outcome) -> None:
        assert target.device_id not in self.by_device
        self.by_device[target.device_id] = outcome

    def kinds(self) -> list[str]:
        return [str(self.by_device[device].kind) for device in sorted(self.by_device)]


class ToldClient:
    """In place of an `http2.Client`: answers each request as told, in order.

    An answer may be one to come; the requests behind it wait.
    """

    def __init__(self, answer: Answer = lambda head, request: OK) -> None:
        self.answer = answer
        self.sent: list[tuple[Head, Request]] = []
        self.answers = 0

    async def send(
        self, head: Head, requests: Sequence[Request], on_response: Any
    ) -> None:
        for index, request in enumerate(requests):
            self.sent.append((head, request))
            told = self.answer(head, request)
            answer = await told if isinstance(told, Awaitable) else told
            if isinstance(answer, Exception):
                raise answer
            self.answers += 1
            on_response(index, answer)

    async def close(self) -> None:
        self.answer = lambda head, request: RuntimeError("closed")


class ToldTokens:
    """Provider tokens "t1", "t2" …: another one after each refusal."""

    def __init__(self) -> None:
        self.number = 1

    async def get(self, name: str, mint: Any) -> str:
        return f"t{self.number}"

    async def refused(self, name: str, token: str) -> None:
        assert token == f"t{self.number}"
        self.number += 1


class NotedTroubles:
    """A board that remembers what was written on it, in order."""

    def __init__(self) -> None:
        self.notifications: list[tuple[str, str | None]] = []

    async def report(self, route: str, reason: str | None) -> None:
        self.notifications.append((route, reason))

    def standing(self) -> dict[str, str]:
        """Route → its trouble, unless that has ended."""
        return {route: why for route, why in dict(self.notifications).items() if why}

    def reasons(self) -> list[str]:
        """Troubles, without their ends."""
        return [reason for _, reason in self.notifications if reason is not None]
