"""Notifications and targets for tests, and the outcomes that a channel reports."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from models.pushes import Notification, Target
from notifier.outcome import Outcome

EXPIRES_AT = datetime(2100, 1, 1, tzinfo=UTC)
REGISTERED_AT = datetime(2025, 1, 1, tzinfo=UTC)


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
    """Outcomes by device; a second report for a device fails the test."""

    def __init__(self) -> None:
        self.by_device: dict[int, Outcome] = {}

    def __call__(self, targets: Sequence[Target], outcome: Outcome) -> None:
        for target in targets:
            assert target.device_id not in self.by_device
            self.by_device[target.device_id] = outcome

    def kinds(self) -> list[str]:
        return [str(self.by_device[device].kind) for device in sorted(self.by_device)]
