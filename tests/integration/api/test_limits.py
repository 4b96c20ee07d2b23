"""429: too many messages of a user, or in a conversation."""

import pytest

from api.limits import per_minute
from tests.support.house import House


@pytest.fixture
def limits():
    """Counted by a clock that stands still."""
    return per_minute(user=60, chat=90, clock=lambda: 0.0)


def burst(house: House, who, chat, count=40) -> int:
    """How many of so many messages at once are taken."""
    return [house.say(who, chat, "hi").status for _ in range(count)].count(201)


def test_user_is_slowed_down_and_told_how_long(house, ann, chat):
    assert burst(house, ann, chat) == 10

    refused = house.say(ann, chat, "hi")
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) >= 1


def test_one_users_haste_is_not_anothers(house, ann, bob, chat):
    burst(house, ann, chat)

    assert house.say(bob, chat, "hi").status == 201


def test_conversation_is_slowed_down_whoever_writes(house, ann, bob, chat):
    taken = burst(house, ann, chat) + burst(house, bob, chat)

    assert taken == 15


def test_outsiders_do_not_use_up_a_conversation(house, bob, eve, chat):
    burst(house, eve, chat)

    assert house.say(bob, chat, "hi").status == 201
