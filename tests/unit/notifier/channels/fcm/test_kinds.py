"""What a kind sets in a push to FCM."""

import json
from typing import Any

import pytest

from models.pushes import READ, WITHDRAW, Shown
from notifier.channels.fcm.payload import Renderer
from notifier.http2 import Request
from tests.support.notifications import EXPIRES_AT, make_notification, make_target

REFERENCE = {"conversation": 3, "message": 7, "seq": 5}
DRAWN = {**REFERENCE, "tag": "message-7", "badge": 4}
IPHONE_HEADERS = {
    "apns-collapse-id": "message-7",
    "apns-expiration": str(int(EXPIRES_AT.timestamp())),
    "apns-priority": "10",
}


def push(
    block: dict[str, Any] | None,
    *,
    token: str = "to:ken",
    badge: int = 4,
    **changes: Any,
) -> Request:
    texts = {"title": "Call", "subtitle": "in Harbour", "body": "from Ada"}
    known = {name: changes.pop(name) for name in texts if name in changes}
    if block is not None:
        changes["shown"] = Shown(**texts | known, block=block)
    renderer = Renderer("service-account.json", "harbour")
    rendered = renderer.render(make_notification(**changes))
    return rendered.request(make_target(1, token, badge=badge))


def message(block: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(push(block, **changes).body)["message"]
    return found


# -- texts


def test_android_shows_the_texts_of_the_kind() -> None:
    found = message({})

    assert found["notification"] == {"title": "Call", "body": "from Ada"}
    assert found["android"] == {
        "priority": "high",
        "ttl": "2419200s",
        "notification": {"tag": "message-7", "notification_count": 4},
    }
    assert json.loads(found["data"]["bottlepost"]) == REFERENCE


GROUPS = [
    # Without a kind, and with one.
    (None, {}, {"title": "Harbour", "body": "Ada: Ship ahoy"}),
    (None, {"text": ""}, {"title": "Harbour", "body": "Ada"}),
    (None, {"chat_name": ""}, {"title": "Ada", "body": "Ship ahoy"}),
    (None, {"is_group": False}, {"title": "Ada", "body": "Ship ahoy"}),
    ({}, {}, {"title": "in Harbour", "body": "Call: from Ada"}),
    ({}, {"subtitle": ""}, {"title": "Call", "body": "from Ada"}),
    ({}, {"title": ""}, {"title": "in Harbour", "body": "from Ada"}),
]


@pytest.mark.parametrize(("block", "changes", "expected"), GROUPS)
def test_android_says_which_group_it_is(
    block: dict[str, Any] | None, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    found = message(block, **{"is_group": True} | changes)

    assert found["notification"] == expected


@pytest.mark.parametrize("part", ["title", "body"])
def test_a_text_of_the_apps_own_takes_the_place_of_ours(part: str) -> None:
    own = {f"{part}_loc_key": "CALL", f"{part}_loc_args": ["Ada"]}

    found = message({"android": {"notification": own}})

    assert found["notification"].keys() == {"title", "body"} - {part}
    assert own.items() <= found["android"]["notification"].items()
    # iPhones behind FCM have their own texts.
    assert found["apns"]["payload"]["aps"]["alert"][part]


def test_an_image_is_shown_with_the_texts_and_without() -> None:
    image = {"notification": {"image": "https://example.org/i.png"}}
    own = {"title_loc_key": "A", "body_loc_key": "B"}

    with_texts = message(image)
    without = message({**image, "android": {"notification": own}})

    assert with_texts["notification"]["image"] == "https://example.org/i.png"
    assert "notification" not in without
    shown = without["android"]["notification"]
    assert shown["image"] == "https://example.org/i.png"


# -- Android

OF_ANDROID = {
    "collapse_key": "calls",
    "priority": "normal",
    "ttl": "30s",
    "restricted_package_name": "org.example",
    "direct_boot_ok": True,
    "bandwidth_constrained_ok": True,
    "restricted_satellite_ok": False,
    "fcm_options": {"analytics_label": "calls"},
}
OF_NOTIFICATION = {
    "title": "T",
    "body": "B",
    "icon": "phone",
    "color": "#aabbcc",
    "sound": "horn",
    "tag": "call",
    "click_action": "ANSWER",
    "channel_id": "calls",
    "ticker": "Call",
    "sticky": True,
    "local_only": True,
    "event_time": "2026-01-01T00:00:00Z",
    "notification_priority": "PRIORITY_MAX",
    "default_sound": True,
    "default_vibrate_timings": True,
    "default_light_settings": True,
    "vibrate_timings": ["0s", "1.5s"],
    "light_settings": {"color": {"red": 1}, "light_on_duration": "1s"},
    "visibility": "SECRET",
    "image": "https://example.org/i.png",
    "proxy": "DENY",
    "bypass_proxy_notification": True,
}


@pytest.mark.parametrize("field", OF_ANDROID)
def test_a_field_for_android_is_sent_as_it_is(field: str) -> None:
    android = message({"android": {field: OF_ANDROID[field]}})["android"]

    assert android[field] == OF_ANDROID[field]
    assert android.keys() == {"priority", "ttl", "notification", field}


@pytest.mark.parametrize("field", OF_NOTIFICATION)
def test_a_field_of_androids_notification_is_sent_as_it_is(field: str) -> None:
    own = {"notification": {field: OF_NOTIFICATION[field]}}

    shown = message({"android": own})["android"]["notification"]

    assert shown[field] == OF_NOTIFICATION[field]
    assert shown.keys() == {"tag", "notification_count", field}


def test_a_placeholder_without_a_value_leaves_the_built_in_field() -> None:
    shown = message({"android": {"notification": {"tag": ""}}})["android"]

    assert shown["notification"]["tag"] == "message-7"


def test_data_for_android_is_added_to_that_of_the_message() -> None:
    block = {"android": {"data": {"room": "blue", "bottlepost": "mine"}}}

    found = message(block, data={"room": "red", "colour": "green"})

    reference = found["data"].pop("bottlepost")
    assert json.loads(reference) == REFERENCE
    assert found["data"] == {"room": "blue", "colour": "green"}
    assert "data" not in found["android"]


# -- apps that draw for themselves


def test_an_app_that_draws_for_itself_gets_data_at_once() -> None:
    found = message({"data_only": True}, data={"colour": "green"}, is_group=True)

    assert "notification" not in found
    assert found["android"] == {"priority": "high", "ttl": "2419200s"}
    assert json.loads(found["data"].pop("bottlepost")) == DRAWN
    assert found["data"] == {
        "title": "Call",
        "subtitle": "in Harbour",
        "body": "from Ada",
        "colour": "green",
    }


def test_a_member_cannot_write_where_such_an_app_looks_for_the_texts() -> None:
    forged = {"title": "Bank", "subtitle": "Bank", "body": "Pay"}

    found = message({"data_only": True}, data=forged, subtitle="")

    assert found["data"]["title"] == "Call"
    assert "subtitle" not in found["data"]
    assert found["data"]["body"] == "from Ada"


def test_nor_does_a_silent_message_give_such_an_app_a_text_to_draw() -> None:
    forged = {"title": "Bank", "subtitle": "Bank", "body": "Pay", "colour": "green"}

    found = message({"data_only": True}, data=forged, silent=True)

    assert found["data"].keys() == {"bottlepost", "colour"}


def test_an_iphone_shows_what_such_an_app_would_draw() -> None:
    aps = message({"data_only": True})["apns"]["payload"]["aps"]

    assert aps["alert"]["body"] == "from Ada"
    assert aps["badge"] == 4


# -- iPhones behind FCM


def test_an_iphone_gets_what_it_would_get_from_apple() -> None:
    about = {"sender_id": 9, "sender_avatar": "https://example.org/a.png"}

    apns = message({}, **about)["apns"]

    assert apns["headers"] == IPHONE_HEADERS
    assert apns["payload"] == {
        "aps": {
            "alert": {"title": "Call", "subtitle": "in Harbour", "body": "from Ada"},
            "badge": 4,
            "sound": "default",
            "thread-id": "chat-3",
        },
        "bottlepost": {
            **REFERENCE,
            "sender": {
                "id": 9,
                "name": "Ada",
                "avatar": "https://example.org/a.png",
            },
            "chat": {"name": "Harbour", "group": False},
        },
    }


def test_the_block_for_iphones_is_sent_as_it_is() -> None:
    own = {
        "headers": {"apns-priority": "5", "apns-collapse-id": "call"},
        "payload": {
            "aps": {"category": "CALL", "mutable-content": 1, "sound": ""},
            "room": "blue",
        },
        "fcm_options": {"image": "https://example.org/i.png"},
    }

    apns = message({"apns": own})["apns"]

    assert apns["headers"] == {
        **IPHONE_HEADERS,
        "apns-priority": "5",
        "apns-collapse-id": "call",
    }
    assert apns["payload"]["aps"].keys() == {
        "alert",
        "badge",
        "thread-id",
        "category",
        "mutable-content",
    }
    assert apns["payload"]["room"] == "blue"
    assert apns["payload"]["bottlepost"] == REFERENCE
    assert apns["fcm_options"] == own["fcm_options"]


def test_the_text_of_that_block_is_not_the_one_of_the_pattern() -> None:
    own = {"payload": {"aps": {"alert": {"body": "B"}}}}

    found = message({"apns": own})

    assert found["apns"]["payload"]["aps"]["alert"]["body"] == "B"
    assert found["notification"]["body"] == "from Ada"


@pytest.mark.parametrize(
    ("own", "changes"),
    [({"headers": {"apns-push-type": "background"}}, {}), ({}, {"silent": True})],
)
def test_an_iphone_in_the_background_is_in_no_hurry(
    own: dict[str, Any], changes: dict[str, Any]
) -> None:
    apns = message({"apns": own}, **changes)["apns"]

    assert apns["headers"]["apns-priority"] == "5"
    assert apns["headers"]["apns-push-type"] == "background"
    assert apns["payload"] == {
        "aps": {"content-available": 1},
        "bottlepost": {**REFERENCE, "badge": 4},
    }


@pytest.mark.parametrize(
    ("wanted", "length"), [("", 9), ("x" * 65, 64), ("a\nb", 64), ("ä", 64)]
)
def test_a_collapse_id_that_apple_would_refuse_is_another_one(
    wanted: str, length: int
) -> None:
    own = {"headers": {"apns-collapse-id": wanted}}

    headers = message({"apns": own})["apns"]["headers"]

    assert len(headers["apns-collapse-id"]) == length
    assert headers["apns-collapse-id"].isprintable()


def test_a_live_activity_behind_fcm_has_its_own_payload() -> None:
    aps = {"event": "end", "timestamp": 5}
    own = {"live_activity_token": "act", "payload": {"aps": aps}}

    apns = message({"apns": own})["apns"]

    assert apns["live_activity_token"] == "act"
    assert apns["payload"]["aps"] == aps


# -- the rest


def test_browsers_and_options_are_sent_as_they_are() -> None:
    browsers = {
        "headers": {"Urgency": "high"},
        "notification": {"lang": "de", "tag": "call"},
    }
    block = {"webpush": browsers, "fcm_options": {"analytics_label": "calls"}}

    found = message(block)

    assert found["webpush"] == block["webpush"]
    assert found["fcm_options"] == block["fcm_options"]


@pytest.mark.parametrize("own", [{}, {"tag": ""}])
def test_browsers_behind_fcm_never_throw_an_error(own: dict[str, Any]) -> None:
    loud = {"renotify": True, "silent": True, "vibrate": 5}

    found = message({"webpush": {"notification": {**loud, **own}}})

    # `renotify` needs a tag, and `silent` excludes `vibrate`.
    assert found["webpush"]["notification"] == {
        "renotify": True,
        "silent": True,
        "tag": "message-7",
    }


def test_a_silent_message_shows_nothing_and_is_never_urgent() -> None:
    block = {
        "android": {"priority": "high", "notification": {"icon": "phone"}},
        "webpush": {"headers": {"TTL": "5"}, "notification": {"title": "Call"}},
    }

    found = message(block, silent=True)

    assert "notification" not in found
    assert found["android"] == {"priority": "normal", "ttl": "2419200s"}
    assert found["webpush"] == {"headers": {"TTL": "5"}}
    assert json.loads(found["data"]["bottlepost"]) == DRAWN


def test_a_withdrawal_removes_the_notification_by_its_own_tag() -> None:
    block = {"android": {"notification": {"tag": "call"}}}

    found = message(block, kind=WITHDRAW)

    assert found.keys() == {"android", "apns", "data", "token"}
    assert json.loads(found["data"]["bottlepost"])["tag"] == "call"


def test_a_withdrawal_wakes_the_app_on_an_iphone() -> None:
    apns = message({"android": {}}, kind=WITHDRAW)["apns"]

    assert apns == {
        "headers": {
            **IPHONE_HEADERS,
            "apns-priority": "5",
            "apns-push-type": "background",
        },
        "payload": {
            "aps": {"content-available": 1},
            "bottlepost": {"kind": WITHDRAW, **REFERENCE, "badge": 4},
        },
    }


def test_a_read_mark_sets_the_badge_of_an_iphone() -> None:
    apns = message(None, kind=READ, definition={})["apns"]

    assert apns == {
        "headers": {
            **IPHONE_HEADERS,
            "apns-collapse-id": "read-3",
            "apns-priority": "5",
        },
        "payload": {
            "aps": {"badge": 4},
            "bottlepost": {"kind": READ, **REFERENCE},
        },
    }
    assert message(None, kind=READ).keys() == {"android", "data", "token"}


@pytest.mark.parametrize("first", "cdef")
def test_an_installation_id_is_addressed_as_such(first: str) -> None:
    fid = first + "A1_-b" * 4 + "x"

    found = message(None, token=fid)

    assert (found["fid"], "token" in found) == (fid, False)


@pytest.mark.parametrize(
    "token", ["b" + "A" * 21, "c" + "A" * 20, "c" + "A" * 20 + ":"]
)
def test_any_other_address_is_a_token(token: str) -> None:
    found = message(None, token=token)

    assert (found["token"], "fid" in found) == (token, False)


@pytest.mark.parametrize("block", [None, {}, {"data_only": True}])
@pytest.mark.parametrize("badge", [0, 9_999_999_999])
def test_a_text_is_cut_so_that_all_of_the_message_fits(
    block: dict[str, Any] | None, badge: int
) -> None:
    texts = {"text": "🚢" * 4000} if block is None else {"body": "🚢" * 4000}

    request = push(block, token="t" * 240, badge=badge, **texts)

    found = json.loads(request.body)["message"]
    body = found.get("notification", found["data"])["body"]
    assert 3900 <= len(request.body) <= 4096
    assert body == "🚢" * (len(body) - 1) + "…"
    if block is not None:
        assert found["apns"]["payload"]["aps"]["alert"]["body"] == body


def test_names_are_sent_as_they_are_written() -> None:
    name = "山田" * 10

    request = push(None, sender_id=9, sender_name=name)

    reference = json.loads(json.loads(request.body)["message"]["data"]["bottlepost"])
    assert reference["sender"]["name"] == name
    assert request.body.count(name.encode()) == 2
