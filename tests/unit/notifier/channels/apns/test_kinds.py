"""What a kind sets in a push to APNs."""

import json
from typing import Any

import pytest
from hpack import Decoder

from models.apns_push_types import RAW_TYPES
from models.kinds import apns as rules
from models.pushes import WITHDRAW, Shown
from notifier.channels.apns import payload as apns_payload
from notifier.channels.apns.payload import ApnsPayload
from tests.support.notifications import make_notification, make_target

REFERENCE = {"conversation": 3, "message": 7, "seq": 5}
RAW = sorted(rules.RAW)


def render(block: dict[str, Any], **changes: Any) -> ApnsPayload:
    texts = {"title": "Call", "subtitle": "in Harbour", "body": "from Ada"}
    known = {name: changes.pop(name) for name in texts if name in changes}
    shown = Shown(**texts | known, block=block)
    return apns_payload.render(make_notification(shown=shown, **changes))


def payload(rendered: ApnsPayload, badge: int = 4) -> dict[str, Any]:
    [request] = rendered.requests([make_target(badge=badge)])
    found: dict[str, Any] = json.loads(request.body)
    return found


def headers(rendered: ApnsPayload) -> dict[str, str]:
    [request] = rendered.requests([make_target()])
    return dict(Decoder().decode(request.fields))


def test_the_texts_are_those_of_the_kind() -> None:
    found = payload(render({}))

    assert found == {
        "aps": {
            "alert": {"title": "Call", "subtitle": "in Harbour", "body": "from Ada"},
            "badge": 4,
            "sound": "default",
            "thread-id": "chat-3",
        },
        "bottlepost": REFERENCE,
    }


def test_a_text_that_is_empty_is_left_out() -> None:
    alert = payload(render({}, subtitle="", body=""))["aps"]["alert"]

    assert alert == {"title": "Call"}


OWN_KEYS = {
    "sound": {"critical": 1, "name": "horn.caf", "volume": 0.5},
    "thread-id": "calls",
    "category": "CALL",
    "content-available": 1,
    "mutable-content": 1,
    "target-content-id": "scene",
    "interruption-level": "time-sensitive",
    "relevance-score": 0.7,
    "filter-criteria": "work",
    "url-args": ["a"],
}


@pytest.mark.parametrize("key", OWN_KEYS)
def test_a_key_of_aps_is_sent_as_it_is(key: str) -> None:
    found = payload(render({"aps": {key: OWN_KEYS[key]}}))["aps"]

    assert found[key] == OWN_KEYS[key]
    assert found.keys() == {"alert", "badge", "sound", "thread-id", key}


def test_an_empty_sound_is_none() -> None:
    assert "sound" not in payload(render({"aps": {"sound": ""}}))["aps"]


def test_a_placeholder_without_a_value_leaves_the_built_in_key() -> None:
    assert payload(render({"aps": {"thread-id": ""}}))["aps"]["thread-id"] == "chat-3"


@pytest.mark.parametrize(
    ("key", "replaced"),
    [("title-loc", "title"), ("subtitle-loc", "subtitle"), ("loc", "body")],
)
def test_a_text_of_the_apps_own_takes_the_place_of_ours(
    key: str, replaced: str
) -> None:
    own = {f"{key}-key": "CALL", f"{key}-args": ["Ada"]}

    alert = payload(render({"aps": {"alert": own}}))["aps"]["alert"]

    assert alert.keys() == {"title", "subtitle", "body"} - {replaced} | own.keys()


def test_a_text_in_the_block_comes_before_the_pattern() -> None:
    own = {"title": "T", "subtitle": "S", "body": "B", "launch-image": "l.png"}

    assert payload(render({"aps": {"alert": own}}))["aps"]["alert"] == own


def test_own_keys_stand_beside_aps_and_before_the_data_of_a_member() -> None:
    found = payload(
        render(
            {"payload": {"call": {"id": 1}, "room": "blue"}},
            data={"room": "red", "colour": "green"},
        )
    )

    assert (found["call"], found["room"], found["colour"]) == (
        {"id": 1},
        "blue",
        "green",
    )


def test_own_keys_never_take_the_place_of_the_reference() -> None:
    found = payload(render({"payload": {"bottlepost": 1, "aps": 2}}))

    assert found["bottlepost"] == REFERENCE
    assert "alert" in found["aps"]


def test_a_kind_may_set_the_headers() -> None:
    own = {"priority": 1, "expiration": 0, "collapse_id": "call-9"}

    rendered = render({"headers": own})

    assert (rendered.push_type, rendered.priority) == ("alert", "1")
    assert headers(rendered)["apns-expiration"] == "0"
    assert headers(rendered)["apns-collapse-id"] == "call-9"


@pytest.mark.parametrize("collapse_id", ["x" * 65, "hafen-ö", "a b", "a\nb"])
def test_a_collapse_id_that_apple_would_refuse_is_hashed(collapse_id: str) -> None:
    found = {
        headers(render({"headers": {"collapse_id": text}}))["apns-collapse-id"]
        for text in (collapse_id, collapse_id, f"{collapse_id}2")
    }

    assert len(found) == 2
    assert all(len(each) == 64 and each.isalnum() for each in found)


@pytest.mark.parametrize("changes", [{}, {"silent": True}])
def test_a_background_push_shows_nothing(changes: dict[str, Any]) -> None:
    block = {
        "headers": {} if changes else {"push_type": "background"},
        "aps": {"alert": {"title": "T"}, "sound": "s", "thread-id": "calls"},
        "payload": {"room": "blue"},
    }

    rendered = render(block, **changes)

    assert (rendered.push_type, rendered.priority) == ("background", "5")
    assert payload(rendered) == {
        "aps": {"content-available": 1, "thread-id": "calls"},
        "room": "blue",
        "bottlepost": {**REFERENCE, "badge": 4},
    }


def test_a_silent_message_is_never_urgent() -> None:
    rendered = render({"headers": {"priority": 10}}, silent=True)

    assert rendered.priority == "5"


def test_a_withdrawal_is_that_of_any_message() -> None:
    rendered = render({"payload": {"room": "blue"}}, kind=WITHDRAW)

    assert payload(rendered)["bottlepost"] == {
        "kind": "withdraw",
        **REFERENCE,
        "badge": 4,
    }
    assert headers(rendered)["apns-collapse-id"] == "message-7"


def test_push_types_and_topics_are_those_of_the_rules() -> None:
    assert {name: rules.SUFFIXES[name] for name in RAW} == RAW_TYPES


@pytest.mark.parametrize("push_type", RAW)
def test_a_raw_push_has_its_type_and_its_topic(push_type: str) -> None:
    rendered = render({"headers": {"push_type": push_type}})

    assert rendered.push_type == push_type
    assert rendered.topic_suffix == rules.SUFFIXES[push_type]
    assert rendered.priority == "10"
    assert headers(rendered)["apns-collapse-id"] == "message-7"


@pytest.mark.parametrize(
    "push_type", ["voip", "complication", "fileprovider", "location", "pushtotalk"]
)
def test_a_raw_push_has_the_payload_of_the_kind(push_type: str) -> None:
    block = {
        "headers": {"push_type": push_type, "priority": 5},
        "aps": {"alert": {"title": "Call"}},
        "payload": {"room": "blue"},
    }

    rendered = render(block, data={"room": "red", "colour": "green"})

    assert rendered.priority == "5"
    assert payload(rendered) == {
        "aps": {"alert": {"title": "Call"}},
        "room": "blue",
        "colour": "green",
        "bottlepost": REFERENCE,
    }


def test_without_its_alert_a_raw_push_wakes_no_service_extension() -> None:
    """A closed preview removes the alert."""
    rendered = render({"headers": {"push_type": "voip"}, "aps": {"mutable-content": 1}})

    assert payload(rendered)["aps"] == {}


def test_a_live_activity_has_its_time_and_at_its_start_an_alert() -> None:
    own = {
        "event": "start",
        "attributes-type": "Ride",
        "attributes": {},
        "content-state": {"left": 3},
    }

    found = payload(render({"headers": {"push_type": "liveactivity"}, "aps": own}))

    created_at = int(make_notification().created_at.timestamp())
    alert = {"title": "Call", "body": "from Ada"}
    assert found["aps"] == {**own, "timestamp": created_at, "alert": alert}


def test_a_live_activity_may_have_a_time_of_its_own() -> None:
    own = {"event": "end", "timestamp": 5}

    found = payload(render({"headers": {"push_type": "liveactivity"}, "aps": own}))

    assert found["aps"] == own


@pytest.mark.parametrize("push_type", ["widgets", "controls"])
def test_a_reload_says_nothing_else(push_type: str) -> None:
    found = payload(render({"headers": {"push_type": push_type}}, data={"a": "b"}))

    assert found == {"aps": {"content-changed": True}}


def test_a_device_that_is_managed_gets_the_payload_alone() -> None:
    block = {"headers": {"push_type": "mdm"}, "payload": {"mdm": "magic"}}

    assert payload(render(block, data={"a": "b"})) == {"mdm": "magic"}


@pytest.mark.parametrize(("push_type", "limit"), [("voip", 5120), ("location", 4096)])
def test_a_raw_push_has_the_size_that_apple_takes(push_type: str, limit: int) -> None:
    def request(length: int) -> bytes:
        block = {"headers": {"push_type": push_type}, "payload": {"k": "v" * length}}
        [found] = render(block).requests([make_target()])
        return found.body

    overhead = len(request(0))

    assert len(request(limit - overhead)) == limit
    with pytest.raises(ValueError, match="too long"):
        request(limit - overhead + 1)


@pytest.mark.parametrize("block", [{}, {"aps": {"alert": {"body": "🚢" * 4000}}}])
def test_the_text_of_a_kind_is_cut_to_fit(block: dict[str, Any]) -> None:
    rendered = render(block, body="🚢" * 4000)

    [request] = rendered.requests([make_target(badge=9_999_999_999)])
    body = json.loads(request.body)["aps"]["alert"]["body"]

    assert 4090 <= len(request.body) <= 4096
    assert body == "🚢" * (len(body) - 1) + "…"
