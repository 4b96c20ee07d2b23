"""Pushes to FCM: payload and time to live."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import utc_now
from models.pushes import READ, WITHDRAW, Notification, Target
from notifier.channels.fcm.payload import Renderer
from tests.support.notifications import make_notification, make_target

anything = st.text(st.characters(codec=None), max_size=80)


def render(notification: Notification) -> Any:
    return Renderer("service-account.json", "harbour").render(notification)


def message_of(notification: Notification, target: Target) -> dict[str, Any]:
    body = json.loads(render(notification).request(target).body)
    assert set(body) == {"message", "validate_only"}
    assert body["validate_only"] is False
    message: dict[str, Any] = body["message"]
    return message


def test_a_notification_says_who_and_what() -> None:
    expires_at = utc_now() + timedelta(hours=1, seconds=0.9)
    notification = make_notification(data={"colour": "red"}, expires_at=expires_at)

    message = message_of(notification, make_target(1, "tok:en", badge=4))

    assert message == {
        "token": "tok:en",
        "notification": {"title": "Ada", "body": "Ship ahoy"},
        "android": {
            "priority": "high",
            "ttl": "3600s",
            "notification": {"tag": "message-7", "notification_count": 4},
        },
        "data": {
            "bottlepost": '{"conversation":3,"message":7,"seq":5}',
            "colour": "red",
        },
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"silent": True}, {"tag": "message-7"}),
        ({"kind": WITHDRAW}, {"kind": "withdraw", "tag": "message-7"}),
        ({"kind": READ}, {"kind": "read", "tag": "read-3"}),
    ],
)
def test_what_is_not_shown_is_data_for_the_app(
    changes: dict[str, Any], expected: dict[str, str]
) -> None:
    message = message_of(make_notification(**changes), make_target(badge=4))

    assert message.keys() == {"token", "data", "android"}
    assert message["android"].keys() == {"priority", "ttl"}
    assert message["android"]["priority"] == "normal"
    place = {"conversation": 3, "message": 7, "seq": 5, "badge": 4}
    assert json.loads(message["data"]["bottlepost"]) == place | expected


@pytest.mark.parametrize(("days", "ttl"), [(90, "2419200s"), (-1, "0s")])
def test_the_time_to_live_stays_within_its_bounds(days: int, ttl: str) -> None:
    notification = make_notification(expires_at=utc_now() + timedelta(days=days))

    assert message_of(notification, make_target())["android"]["ttl"] == ttl


@pytest.mark.parametrize(
    "key",
    ["from", "message_type", "google", "google.sent", "gcm", "gcm.n", "bottlepost"],
)
def test_reserved_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        render(make_notification(data={key: "x"}))


def test_text_is_cut_so_that_the_message_fits_with_a_long_token() -> None:
    notification = make_notification(text="🚢" * 4000)

    request = render(notification).request(make_target(1, "t" * 240))

    body = json.loads(request.body)["message"]["notification"]["body"]
    assert 3950 <= len(request.body) <= 4096
    assert body == "🚢" * (len(body) - 1) + "…"


def test_data_that_leaves_no_room_is_refused() -> None:
    for silent in (False, True):
        with pytest.raises(ValueError, match="data of the message"):
            render(make_notification(data={"k": "v" * 4096}, silent=silent))


def test_nothing_is_shown_of_an_empty_name_and_text() -> None:
    message = message_of(
        make_notification(sender_name="", text=""), make_target(badge=3)
    )

    assert message["android"]["notification"]["notification_count"] == 3


@settings(max_examples=60)
@given(
    st.text(max_size=3000),
    anything,
    st.dictionaries(st.text('abcäö"\\\n🚢', max_size=8), st.text(max_size=30)),
    st.integers(0, 2**31 - 1),
    st.booleans(),
)
def test_any_token_any_text_and_any_data_arrive(
    text: str, token: str, data: dict[str, str], badge: int, silent: bool
) -> None:
    notification = make_notification(text=text, data=data, silent=silent)

    message = message_of(notification, make_target(1, token, badge=badge))

    assert message["token"] == token
    assert {key: message["data"][key] for key in data} == data
    reference = json.loads(message["data"]["bottlepost"])
    assert reference.get("badge", badge) == badge
    if not silent:
        shown = message["notification"].get("body", "")
        assert message["android"]["notification"]["notification_count"] == badge
        assert shown == text or text.startswith(shown.removesuffix("…"))


@settings(max_examples=60)
@given(anything, anything)
def test_text_that_is_no_unicode_is_pushed_all_the_same(text: str, name: str) -> None:
    message_of(make_notification(text=text, sender_name=name), make_target())
