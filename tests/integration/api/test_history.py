"""GET /groupchat/<id>/messages."""

import pytest

from tests.support.chat_api import ON_EVERY_DATABASE

pytestmark = ON_EVERY_DATABASE


@pytest.fixture
def talk(chat_api, ann, chat):
    """The address of a conversation with ten messages."""
    for number in range(1, 11):
        chat_api.say(ann, chat, f"message {number}")
    return f"/groupchat/{chat}/messages"


@pytest.mark.parametrize(
    ("query", "numbers", "has_more"),
    [
        ("", list(range(1, 11)), False),
        ("?limit=3", [8, 9, 10], True),
        ("?before=8&limit=3", [5, 6, 7], True),
        ("?before=3", [1, 2], False),
        ("?after=7", [8, 9, 10], False),
        ("?after=0&limit=4", [1, 2, 3, 4], True),
        ("?after=2&before=5", [3, 4], False),
        ("?after=10", [], False),
        ("?before=1", [], False),
    ],
)
def test_page_is_in_order_and_says_whether_there_is_more(
    ann, talk, query, numbers, has_more
):
    page = ann.client.get(talk + query).json

    assert [message["seq"] for message in page["messages"]] == numbers
    assert page["has_more"] is has_more


def test_walking_back_sees_every_message_once(ann, talk):
    seen, before = [], 11

    for _ in range(5):
        page = ann.client.get(f"{talk}?before={before}&limit=2").json
        seen = page["messages"] + seen
        before = seen[0]["seq"]

    assert [message["text"] for message in seen] == [
        f"message {number}" for number in range(1, 11)
    ]
    assert not page["has_more"]


def test_outsider_sees_nothing(eve, talk):
    assert eve.client.get(talk).status == 404
