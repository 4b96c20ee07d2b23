"""429 for too many messages of a user or in a conversation."""

import pytest

from api.rate_limits import per_minute
from tests.support.chat_api import ChatApi


@pytest.fixture
def limits():
    """Rate limits with a clock that stands still."""
    return per_minute(user=60, chat=90, clock=lambda: 0.0)


def burst(chat_api: ChatApi, who, chat, count=40) -> int:
    """Send `count` messages at once; returns how many were accepted."""
    return [chat_api.say(who, chat, "hi").status for _ in range(count)].count(201)


def test_user_is_limited_and_gets_a_retry_after(chat_api, ann, chat):
    assert burst(chat_api, ann, chat) == 10

    refused = chat_api.say(ann, chat, "hi")
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) >= 1


def test_one_users_limit_does_not_affect_another(chat_api, ann, bob, chat):
    burst(chat_api, ann, chat)

    assert chat_api.say(bob, chat, "hi").status == 201


def test_the_limit_of_a_conversation_counts_all_members(chat_api, ann, bob, chat):
    taken = burst(chat_api, ann, chat) + burst(chat_api, bob, chat)

    assert taken == 15


def test_outsiders_do_not_count_for_a_conversation(chat_api, bob, eve, chat):
    burst(chat_api, eve, chat)

    assert chat_api.say(bob, chat, "hi").status == 201
