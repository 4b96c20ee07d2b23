"""Apple's rules for headers, topics, payloads and addresses."""

import json
import uuid

import pytest

from tests.support.provider_tokens import DEVICE, TOPIC, ApnsSender, apns_headers
from tests.support.sandbox import Sandbox

SILENT = {"aps": {"content-available": 1}, "conversation": 7}
EVENT = {"aps": {"timestamp": 1, "event": "update", "content-state": {}}}


def test_good_push_is_accepted_without_a_body(apns: ApnsSender) -> None:
    reply = apns.push()

    assert (reply.status, reply.body) == (200, b"")


def test_id_is_echoed(apns: ApnsSender) -> None:
    apns_id = str(uuid.uuid4())

    reply = apns.push(apns_id=apns_id)

    assert reply.headers["apns-id"] == apns_id


def test_id_is_made_when_there_is_none(apns: ApnsSender) -> None:
    reply = apns.push()

    assert str(uuid.UUID(reply.headers["apns-id"])) == reply.headers["apns-id"]


def test_refusal_carries_the_id_too(apns: ApnsSender) -> None:
    apns_id = str(uuid.uuid4())

    reply = apns.push("bad-token", apns_id=apns_id)

    assert reply.headers["apns-id"] == apns_id


def test_only_development_gives_a_unique_id(
    apns: ApnsSender, apns_development: ApnsSender
) -> None:
    production, development = apns.push(), apns_development.push()

    assert "apns-unique-id" not in production.headers
    assert uuid.UUID(development.headers["apns-unique-id"])


@pytest.mark.parametrize("device", ["ab12", "AB" * 32, "0f" * 80])
def test_device_tokens_have_no_fixed_length(apns: ApnsSender, device: str) -> None:
    assert apns.push(device).status == 200


@pytest.mark.parametrize("device", ["not-hex-at-all", "%20", "abcdefg", "zz" * 32])
def test_token_that_is_not_hex_is_bad(apns: ApnsSender, device: str) -> None:
    assert apns.refused(device) == (400, "BadDeviceToken")


def test_missing_device_token_is_named(apns: ApnsSender) -> None:
    assert apns.refused("") == (400, "MissingDeviceToken")


@pytest.mark.parametrize("path", ["/3/devices/ab", "/3/device/ab/cd", "/3/device/a?b"])
def test_other_paths_are_bad(apns: ApnsSender, path: str) -> None:
    reply = apns.client.request("POST", path, apns_headers(apns.token), b"{}")

    assert (reply.status, json.loads(reply.body)) == (404, {"reason": "BadPath"})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_is_allowed(apns: ApnsSender, method: str) -> None:
    headers = apns_headers(apns.token)

    reply = apns.client.request(method, f"/3/device/{DEVICE}", headers)

    assert reply.status == 405
    assert json.loads(reply.body) == {"reason": "MethodNotAllowed"}


def test_repeated_header_is_refused(apns: ApnsSender) -> None:
    headers = [*apns_headers(apns.token), ("apns-topic", TOPIC)]

    reply = apns.client.request("POST", f"/3/device/{DEVICE}", headers, b"{}")

    assert json.loads(reply.body) == {"reason": "DuplicateHeaders"}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"apns_id": "8B7F3A52-59C4-4C1B-A9C5-0A3C0A9B6D11"}, "BadMessageId"),
        ({"apns_id": "8b7f3a5259c44c1ba9c50a3c0a9b6d11"}, "BadMessageId"),
        ({"apns_priority": "7"}, "BadPriority"),
        ({"apns_priority": ""}, "BadPriority"),
        ({"apns_expiration": "tomorrow"}, "BadExpirationDate"),
        ({"apns_expiration": "-1"}, "BadExpirationDate"),
        ({"apns_expiration": "1.5"}, "BadExpirationDate"),
        ({"apns_collapse_id": "c" * 65}, "BadCollapseId"),
        ({"apns_collapse_id": "é" * 33}, "BadCollapseId"),
        ({"apns_push_type": "shout"}, "InvalidPushType"),
        ({"apns_topic": None}, "MissingTopic"),
        ({"apns_topic": "no topic"}, "BadTopic"),
        ({"apns_topic": "org.example.other"}, "TopicDisallowed"),
        ({"apns_topic": f"{TOPIC}2"}, "TopicDisallowed"),
        ({"apns_topic": f"{TOPIC}.voip"}, "DeviceTokenNotForTopic"),
        ({"apns_push_type": "voip"}, "DeviceTokenNotForTopic"),
    ],
)
def test_wrong_header_is_refused(
    apns: ApnsSender, headers: dict[str, str | None], reason: str
) -> None:
    assert apns.refused(**headers) == (400, reason)


@pytest.mark.parametrize(
    "headers",
    [
        {"apns_priority": "10"},
        {"apns_priority": "5"},
        {"apns_priority": "1"},
        {"apns_expiration": "0"},
        {"apns_expiration": "1900000000"},
        {"apns_collapse_id": "c" * 64},
        {"apns_push_type": None},
    ],
)
def test_right_header_is_accepted(
    apns: ApnsSender, headers: dict[str, str | None]
) -> None:
    assert apns.push(**headers).status == 200


@pytest.mark.parametrize(
    ("payload", "push_type", "priority", "reason"),
    [
        (b"", "alert", "10", "PayloadEmpty"),
        (b"{", "alert", "10", "PayloadEmpty"),
        (b"[]", "alert", "10", "PayloadEmpty"),
        ({"text": "no aps"}, "alert", "10", "PayloadEmpty"),
        ({"aps": "text"}, "alert", "10", "PayloadEmpty"),
        (SILENT, "alert", "10", "InvalidPushType"),
        (SILENT, "background", "10", "BadPriority"),
        (SILENT, "background", None, "BadPriority"),
        (SILENT, None, "10", "BadPriority"),
        ({"aps": {"alert": "hi"}}, "background", "5", "InvalidPushType"),
        ({"aps": {}}, "background", "5", "InvalidPushType"),
        (
            {"aps": {"content-available": 1, "badge": 1}},
            "background",
            "5",
            "InvalidPushType",
        ),
    ],
)
def test_payload_must_be_what_its_type_says(
    apns: ApnsSender,
    payload: object,
    push_type: str | None,
    priority: str | None,
    reason: str,
) -> None:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = apns_headers(apns.token, apns_push_type=push_type, apns_priority=priority)

    reply = apns.client.request("POST", f"/3/device/{DEVICE}", headers, body)

    assert (reply.status, json.loads(reply.body)) == (400, {"reason": reason})


def test_silent_push_of_low_priority_is_accepted(apns: ApnsSender) -> None:
    reply = apns.push(DEVICE, SILENT, apns_push_type="background", apns_priority="5")

    assert reply.status == 200


@pytest.mark.parametrize(
    ("push_type", "suffix", "payload"),
    [
        ("voip", ".voip", SILENT),
        ("controls", ".push-type.controls", {"aps": {"content-changed": True}}),
        ("complication", ".complication", SILENT),
        ("liveactivity", ".push-type.liveactivity", EVENT),
        ("location", ".location-query", {"aps": {}}),
        ("mdm", "", {"mdm": "E2D4"}),
        ("fileprovider", ".pushkit.fileprovider", {"aps": {}}),
        ("pushtotalk", ".voip-ptt", {"aps": {}}),
        ("widgets", ".push-type.widgets", {"aps": {"content-changed": True}}),
    ],
)
def test_each_type_has_its_topic(
    apns: ApnsSender, push_type: str, suffix: str, payload: object
) -> None:
    reply = apns.push(
        DEVICE, payload, apns_push_type=push_type, apns_topic=TOPIC + suffix
    )

    assert (reply.status, reply.body) == (200, b"")


def padded(size: int) -> bytes:
    """A payload of exactly `size` bytes."""
    frame = b'{"aps":{"alert":"%s"}}'
    return frame % (b"x" * (size - len(frame) + 2))


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 413)])
def test_payload_has_4096_bytes_at_most(
    apns: ApnsSender, size: int, status: int
) -> None:
    assert apns.push(DEVICE, padded(size)).status == status


@pytest.mark.parametrize(("size", "status"), [(5120, 200), (5121, 413)])
def test_voip_payload_has_5120_bytes_at_most(
    apns: ApnsSender, size: int, status: int
) -> None:
    headers = {"apns_push_type": "voip", "apns_topic": f"{TOPIC}.voip"}

    assert apns.push(DEVICE, padded(size), **headers).status == status


def test_more_topics_can_be_allowed(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(topics=[TOPIC, "org.example.other"])

    assert apns.push(apns_topic="org.example.other").status == 200


def test_an_app_that_comes_later_needs_a_new_connection(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    apns.push()

    sandbox.control(topics=[TOPIC, "org.example.other"])

    other = {"apns_topic": "org.example.other"}
    assert apns.refused(**other) == (400, "TopicDisallowed")
    later = ApnsSender(sandbox)
    assert later.push(**other).status == 200
    later.client.close()


def test_the_scheme_is_in_lower_case(apns: ApnsSender) -> None:
    authorization = f"Bearer {apns.token}"

    assert apns.refused(authorization=authorization) == (403, "InvalidProviderToken")


def test_many_bad_tokens_in_a_row_end_the_connection(apns: ApnsSender) -> None:
    for _ in range(99):
        assert apns.refused("not-hex") == (400, "BadDeviceToken")
    apns.push()
    for _ in range(100):
        assert apns.refused("not-hex") == (400, "BadDeviceToken")

    apns.client.wait_for_end()

    assert apns.client.goaway is not None


def test_repeated_header_of_any_name_is_refused(apns: ApnsSender) -> None:
    twice = [("content-type", "application/json")] * 2
    headers = [*apns_headers(apns.token), *twice]

    reply = apns.client.request("POST", f"/3/device/{DEVICE}", headers, b"{}")

    assert json.loads(reply.body) == {"reason": "DuplicateHeaders"}


ALERT = {"alert": {"title": "Ann"}}
START = {
    "timestamp": 1,
    "event": "start",
    "content-state": {},
    "attributes-type": "Trip",
    "attributes": {},
    "alert": {"title": "Off"},
}


@pytest.mark.parametrize(
    "aps",
    [
        {"alert": "text"},
        {"alert": {"loc-key": "K", "loc-args": ["a"]}},
        {**ALERT, "badge": 0},
        {**ALERT, "sound": "default"},
        {**ALERT, "sound": {"critical": 1, "name": "bell", "volume": 0.5}},
        {**ALERT, "interruption-level": "time-sensitive", "relevance-score": 1},
        {**ALERT, "mutable-content": 1, "thread-id": "c7", "category": "chat"},
    ],
)
def test_keys_of_the_reference_are_accepted(
    apns: ApnsSender, aps: dict[str, object]
) -> None:
    assert apns.push(DEVICE, {"aps": aps, "own": {}}).status == 200


@pytest.mark.parametrize(
    "aps",
    [
        {"alert": 5},
        {"alert": {"text": "x"}},
        {"alert": {"title": 5}},
        {"alert": {"body": "x", "loc-args": ["a"]}},
        {**ALERT, "badge": -1},
        {**ALERT, "badge": "3"},
        {**ALERT, "badge": True},
        {**ALERT, "sound": {"name": ""}},
        {**ALERT, "sound": {"name": "bell", "volume": 2}},
        {**ALERT, "thread-id": 7},
        {**ALERT, "content-available": True},
        {**ALERT, "interruption-level": "loud"},
        {**ALERT, "relevance-score": 1.5},
        {**ALERT, "own": 1},
        {"badge": 1, "mutable-content": 1},
        {**ALERT, "content-changed": True},
        {**ALERT, "event": "end"},
        {**ALERT, "sound": {"critical": True, "name": "bell"}},
    ],
)
def test_a_key_that_a_phone_would_ignore_is_refused(
    apns: ApnsSender, aps: dict[str, object]
) -> None:
    assert apns.refused(DEVICE, {"aps": aps}) == (400, "PayloadEmpty")


@pytest.mark.parametrize(
    ("aps", "status"),
    [
        (START, 200),
        ({**START, "input-push-token": 1}, 200),
        ({**START, "relevance-score": 50}, 200),
        ({"timestamp": 1, "event": "end", "dismissal-date": 5}, 200),
        ({"timestamp": 1, "event": "update"}, 400),
        ({"timestamp": 1.5, "event": "end"}, 400),
        ({"timestamp": 1, "event": "stop"}, 400),
        ({k: v for k, v in START.items() if k != "alert"}, 400),
        ({**START, "event": "update"}, 400),
        ({**START, "dismissal-date": 5}, 400),
        ({"timestamp": 1, "event": "end", "input-push-channel": "YQ=="}, 400),
        ({"timestamp": 1, "event": "end", "mutable-content": 1}, 400),
        ({**START, "input-push-token": 1, "input-push-channel": "YQ=="}, 400),
    ],
)
def test_live_activities_have_what_their_event_needs(
    apns: ApnsSender, aps: dict[str, object], status: int
) -> None:
    headers = {
        "apns_push_type": "liveactivity",
        "apns_topic": f"{TOPIC}.push-type.liveactivity",
    }

    assert apns.push(DEVICE, {"aps": aps}, **headers).status == status


@pytest.mark.parametrize(
    ("push_type", "suffix", "aps"),
    [
        ("location", ".location-query", {}),
        (
            "liveactivity",
            ".push-type.liveactivity",
            {"timestamp": 1, "event": "end"},
        ),
    ],
)
def test_some_types_do_not_take_the_lowest_priority(
    apns: ApnsSender, push_type: str, suffix: str, aps: dict[str, object]
) -> None:
    for priority, status in (("10", 200), ("5", 200), ("1", 400)):
        reply = apns.push(
            DEVICE,
            {"aps": aps},
            apns_push_type=push_type,
            apns_topic=TOPIC + suffix,
            apns_priority=priority,
        )
        assert reply.status == status


@pytest.mark.parametrize("push_type", ["widgets", "controls"])
@pytest.mark.parametrize(
    "payload",
    [
        {"aps": {"content-changed": True, "badge": 1}},
        {"aps": {"content-changed": True}, "own": 1},
    ],
)
def test_widgets_carry_nothing_else(
    apns: ApnsSender, push_type: str, payload: dict[str, object]
) -> None:
    topic = f"{TOPIC}.push-type.{push_type}"

    refused = apns.refused(DEVICE, payload, apns_push_type=push_type, apns_topic=topic)

    assert refused == (400, "InvalidPushType")
