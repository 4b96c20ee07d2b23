"""Tokens for one push type get its pushes alone, and no others do."""

from typing import Any

import pytest

from models.apns_push_types import RAW_TYPES, suffix_of
from models.pushes import MESSAGE, READ, WITHDRAW
from notifier.engine.pushes import Pushes
from tests.support.notifications import make_notification, make_target

APP = "com.example.chat"
SPECIAL = sorted(push_type for push_type, suffix in RAW_TYPES.items() if suffix)
DEVICES = [
    make_target(1, "aa01"),
    make_target(2, "aa02", app=APP),
    make_target(3, "f3", platform="fcm", app=f"{APP}.voip"),
    *(
        make_target(n, f"bb{n:02}", app=APP + RAW_TYPES[push_type])
        for n, push_type in enumerate(SPECIAL, start=10)
    ),
]


def look(push_type: str) -> dict[str, Any]:
    return {"apns": {"headers": {"push_type": push_type}}}


def addressed(**changes: Any) -> list[int]:
    pushes = Pushes(make_notification(**changes), {})
    return [target.device_id for target in pushes.addressed(DEVICES)]


@pytest.mark.parametrize("kind", [MESSAGE, READ, WITHDRAW])
def test_a_usual_push_is_for_usual_tokens(kind: str) -> None:
    assert addressed(kind=kind) == [1, 2, 3]


@pytest.mark.parametrize("push_type", SPECIAL)
def test_a_special_push_is_for_tokens_of_its_type(push_type: str) -> None:
    device = 10 + SPECIAL.index(push_type)

    assert addressed(definition=look(push_type)) == [3, device]


def test_the_withdrawal_of_a_call_is_a_usual_push() -> None:
    assert addressed(kind=WITHDRAW, definition=look("voip")) == [1, 2, 3]


def test_who_is_mentioned_may_get_a_special_push_alone() -> None:
    mentioned = DEVICES[-1]

    found = addressed(
        definition={},
        mention_definition=look(SPECIAL[-1]),
        mentions=frozenset({mentioned.user_id}),
    )

    # The device that is registered for it, whatever its owner's other ones.
    assert mentioned.device_id in found


@pytest.mark.parametrize("push_type", RAW_TYPES)
def test_each_topic_is_told_by_its_ending(push_type: str) -> None:
    assert suffix_of(APP + RAW_TYPES[push_type]) == RAW_TYPES[push_type]
