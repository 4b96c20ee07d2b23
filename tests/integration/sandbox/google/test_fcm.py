"""Google's rules for access tokens, messages and errors."""

import json
from contextlib import suppress
from typing import Any

import pytest

from sandbox import faults
from tests.support.provider_client import ConnectionOver
from tests.support.provider_tokens import FcmSender
from tests.support.sandbox import Sandbox

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
FULL: dict[str, Any] = {
    "token": "phone:APA91b-1_x",
    "data": {"conversation": "7"},
    "notification": {"title": "Ann", "body": "Hello", "image": "https://x/y.png"},
    "android": {
        "collapse_key": "c7",
        "priority": "high",
        "ttl": "3.5s",
        "direct_boot_ok": True,
        "data": {"a": "b"},
        "notification": {"tag": "m1", "channel_id": "chat", "notification_count": 3},
    },
    "apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"badge": 1}}},
    "webpush": {"headers": {"TTL": "60"}, "notification": {"title": "Ann"}},
    "fcm_options": {"analytics_label": "chat"},
}


LIGHT = {
    "color": {"red": 1, "green": 0.5, "blue": 0, "alpha": 1},
    "light_on_duration": "1s",
    "light_off_duration": "0.5s",
}
REMOTE = {
    "mutable_content": True,
    "use_as_v1_data_message": False,
    "notification": {"title": "Ann", "id": 7},
}


def details_of(error: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {detail["@type"]: detail for detail in error.get("details", [])}


def test_full_message_is_accepted_and_named(fcm: FcmSender) -> None:
    reply = fcm.send(FULL)

    name = json.loads(reply.body)["name"]
    assert name.startswith("projects/bottlepost-sandbox/messages/0:")


@pytest.mark.parametrize(
    "message",
    [
        {"topic": "news", "data": {}},
        {"condition": "'a' in topics", "data": {}},
        {"fid": "c" + "a1_-" * 5 + "Z", "data": {}},
        {"token": "c" + "a1_-" * 5 + "Z", "data": {}},
        {"condition": " || ".join(f"'t{n}' in topics" for n in range(5)), "data": {}},
        {"token": "t", "android": {"notification": {"color": "#00ff7F"}}},
        {
            "token": "t",
            "android": {"notification": {"event_time": "2026-01-31T10:00:00Z"}},
        },
        {
            "token": "t",
            "android": {"notification": {"vibrate_timings": ["0s", "1.5s"]}},
        },
        {"token": "t", "android": {"notification": {"light_settings": LIGHT}}},
        {"token": "t", "android_v2": {"background_sync": {}, "ttl": "5s"}},
        {"token": "t", "android_v2": {"remote_notification": REMOTE}},
        {"token": "t", "apns": {"live_activity_token": "ab12", "payload": {}}},
        {"token": "t", "webpush": {"fcm_options": {"link": "https://x.org/"}}},
        {"token": "t", "android": {"collapseKey": "c", "priority": "NORMAL"}},
        {"token": "t", "android": {"ttl": "2419200s"}},
        {"token": "t", "android": {"ttl": "0s"}},
        {"token": "t", "notification": None},
    ],
)
def test_message_of_the_reference_is_accepted(
    fcm: FcmSender, message: dict[str, Any]
) -> None:
    assert fcm.send(message).status == 200


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"data": {}}, "message"),
        ({"token": "t", "topic": "news"}, "message"),
        ({"token": "t", "fid": "f"}, "message"),
        ({"token": "t", "titel": "x"}, "message"),
        ({"token": "t", "notification": {"tag": "x"}}, "message.notification"),
        ({"token": "t", "notification": "Hello"}, "message.notification"),
        ({"token": "t", "notification": {"title": 5}}, "message.notification.title"),
        ({"token": "t", "data": {"n": 5}}, "message.data[n]"),
        ({"token": "t", "data": {"from": "x"}}, "message.data"),
        ({"token": "t", "data": {"gcm.x": "x"}}, "message.data"),
        ({"token": "t", "data": {"google_x": "x"}}, "message.data"),
        ({"token": "t", "data": {"message_type": "x"}}, "message.data"),
        ({"token": "t", "android": {"ttl": 60}}, "message.android.ttl"),
        ({"token": "t", "android": {"ttl": "60"}}, "message.android.ttl"),
        ({"token": "t", "android": {"ttl": "2419201s"}}, "message.android.ttl"),
        ({"token": "t", "android": {"priority": "top"}}, "message.android.priority"),
        (
            {"token": "t", "android": {"direct_boot_ok": "yes"}},
            "message.android.direct_boot_ok",
        ),
        (
            {"token": "t", "android": {"notification": {"notification_count": -1}}},
            "message.android.notification.notification_count",
        ),
        ({"token": "t", "apns": {"headers": {"a": 1}}}, "message.apns.headers[a]"),
        ({"token": "t", "apns": {"payload": []}}, "message.apns.payload"),
        (
            {"token": "t", "apns": {"headers": {"apns-priority": "7"}}},
            "message.apns.headers",
        ),
        ({"token": "t", "apns": {"payload": {"aps": 1}}}, "message.apns.payload.aps"),
        (
            {"token": "t", "apns": {"payload": {"aps": {"own": 1}}}},
            "message.apns.payload.aps",
        ),
        (
            # Google adds the priority 10.
            {"token": "t", "apns": {"payload": {"aps": {"content-available": 1}}}},
            "message.apns.payload.aps",
        ),
        *(
            (
                {"token": "t", "webpush": {"headers": {name: value}}},
                f"message.webpush.headers[{name}]",
            )
            for name, value in [
                ("TTL", "soon"),
                ("Urgency", "loud"),
                ("Topic", "abcde"),
            ]
        ),
        ({"topic": "no spaces"}, "message.topic"),
        ({"topic": "/topics/news"}, "message.topic"),
        ({"condition": "anything"}, "message.condition"),
        (
            {"condition": " || ".join(f"'t{n}' in topics" for n in range(6))},
            "message.condition",
        ),
        (
            {"token": "t", "fcm_options": {"analytics_label": "x" * 51}},
            "message.fcm_options.analytics_label",
        ),
        (
            {"token": "t", "apns": {"fcm_options": {"analytics_label": "a b"}}},
            "message.apns.fcm_options.analytics_label",
        ),
        (
            {"token": "t", "apns": {"live_activity_token": ""}},
            "message.apns.live_activity_token",
        ),
        (
            {"token": "t", "webpush": {"fcm_options": {"link": "http://x.org/"}}},
            "message.webpush.fcm_options.link",
        ),
        *(
            (
                {
                    "token": "t",
                    "android": {"notification": {name.split(".")[0]: value}},
                },
                f"message.android.notification.{name}",
            )
            for name, value in [
                ("color", "red"),
                ("event_time", "yesterday"),
                ("event_time", "2026-01-31T10:00"),
                ("vibrate_timings", ["-1s"]),
                ("light_settings", {"color": {"red": 1}}),
                ("light_settings.color", {**LIGHT, "color": {"hue": 1}}),
                ("proxy", "MAYBE"),
            ]
        ),
        (
            {"token": "t", "android": {"notification": {"body_loc_args": ["x"]}}},
            "message.android.notification",
        ),
        ({"token": "t", "android_v2": {}}, "message.android_v2"),
        (
            {"token": "t", "android_v2": {"background_sync": {}}, "android": {}},
            "message.android_v2",
        ),
        (
            {"token": "t", "android_v2": {"background_sync": {}, "priority": "high"}},
            "message.android_v2",
        ),
        (
            {
                "token": "t",
                "android_v2": {"background_sync": {}, "remote_notification": {}},
            },
            "message.android_v2",
        ),
        (
            {
                "token": "t",
                "android_v2": {
                    "remote_notification": {"notification": {"proxy": "DENY"}}
                },
            },
            "message.android_v2.remote_notification.notification",
        ),
        ({"token": 5}, "message.token"),
    ],
)
def test_wrong_payload_names_its_field(
    fcm: FcmSender, message: dict[str, Any], field: str
) -> None:
    error = fcm.refused(message)

    details = details_of(error)
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert details[BAD_REQUEST]["fieldViolations"][0]["field"] == field
    assert FCM_ERROR not in details


@pytest.mark.parametrize("token", ["bad-token-1", "not a token", "ü"])
def test_wrong_token_is_told_from_wrong_payload(fcm: FcmSender, token: str) -> None:
    error = fcm.refused({"token": token, "data": {}})

    assert "not a valid FCM registration token" in error["message"]
    assert details_of(error)[FCM_ERROR]["errorCode"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "fid", ["d8xYz", "a" + "x" * 21, "c" + "x" * 20, "c" + "x" * 22, "c" + "ü" * 21]
)
def test_a_malformed_installation_id_is_unregistered(fcm: FcmSender, fid: str) -> None:
    error = fcm.refused({"fid": fid, "data": {}})

    assert error["code"] == 404
    assert details_of(error)[FCM_ERROR]["errorCode"] == "UNREGISTERED"


def test_the_project_may_be_named_by_its_number(fcm: FcmSender) -> None:
    body = json.dumps({"message": {"token": "t", "data": {}}}).encode()

    path = "/v1/projects/105105105105/messages:send"
    assert fcm.post(body, path).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"message": 5}', b'{"x": {}}'])
def test_body_must_be_a_message(fcm: FcmSender, body: bytes) -> None:
    assert fcm.post(body).status == 400


@pytest.mark.parametrize(
    ("address", "size", "status"),
    [
        ("token", 4000, 200),
        ("token", 4096, 400),
        ("topic", 2000, 200),
        ("topic", 2048, 400),
    ],
)
def test_message_is_4096_bytes_at_most_and_half_for_topics(
    fcm: FcmSender, address: str, size: int, status: int
) -> None:
    reply = fcm.send({address: "t", "data": {"text": "x" * size}})

    assert reply.status == status


def test_token_does_not_count_for_the_size(fcm: FcmSender) -> None:
    reply = fcm.send({"token": "t" * 3000, "data": {"text": "x" * 3000}})

    assert reply.status == 200


def test_dry_run_delivers_nothing(sandbox: Sandbox, fcm: FcmSender) -> None:
    reply = fcm.send(validate_only=True)

    assert reply.status == 200
    assert sandbox.inbox() == []


def test_project_must_be_the_accounts_own(fcm: FcmSender) -> None:
    reply = fcm.post(b"{}", "/v1/projects/another/messages:send")

    assert reply.status == 403
    assert json.loads(reply.body)["error"]["status"] == "PERMISSION_DENIED"


def test_other_addresses_are_not_found(fcm: FcmSender) -> None:
    assert fcm.post(b"{}", "/v1/projects/bottlepost-sandbox/messages").status == 404


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("unregistered-1", 404, "UNREGISTERED"),
        ("sender-mismatch-1", 403, "SENDER_ID_MISMATCH"),
        ("quota-1", 429, "QUOTA_EXCEEDED"),
        ("429-1", 429, "QUOTA_EXCEEDED"),
        ("503-1", 503, "UNAVAILABLE"),
        ("500-1", 500, "INTERNAL"),
        ("third-party-auth-1", 401, "THIRD_PARTY_AUTH_ERROR"),
        ("unknown-reason-1", 400, "REASON_OF_TOMORROW"),
        ("answer-400-UNSPECIFIED_ERROR", 400, "UNSPECIFIED_ERROR"),
    ],
)
def test_token_is_refused_as_it_says(
    fcm: FcmSender, token: str, status: int, code: str
) -> None:
    error = fcm.refused({"token": token, "data": {}})

    assert error["code"] == status
    assert details_of(error)[FCM_ERROR]["errorCode"] == code


def test_quota_may_come_without_fcms_own_code(fcm: FcmSender) -> None:
    reply = fcm.send({"token": "quota-bare-1", "data": {}})

    error = json.loads(reply.body)["error"]
    assert (reply.status, error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert FCM_ERROR not in details_of(error)
    assert "retry-after" not in reply.headers


def test_asked_for_payload_error_is_no_token_error(fcm: FcmSender) -> None:
    error = fcm.refused({"token": "invalid-payload-1", "data": {}})

    assert FCM_ERROR not in details_of(error)


def test_retry_after_comes_with_quota_and_503(sandbox: Sandbox, fcm: FcmSender) -> None:
    sandbox.control(retry_after_s=9)

    replies = [fcm.send({"token": token}) for token in ("quota-1", "503-after-1")]

    assert [reply.headers["retry-after"] for reply in replies] == ["9", "9"]


@pytest.mark.parametrize("name", faults.NAMES)
def test_every_fault_differs_from_a_plain_accept(
    sandbox: Sandbox, fcm: FcmSender, name: str
) -> None:
    sandbox.control(slow_s=0.05)
    stream = fcm.begin({"token": f"{name}-1"})
    if name != "hang":
        with suppress(ConnectionOver):
            fcm.client.wait(stream)

    row = sandbox.inbox(all=1, token=f"{name}-1", wait=10)[0]

    assert row["reason"] is not None or name in faults.ACCEPTING


@pytest.mark.parametrize(
    ("token", "device"),
    [
        ("phone:APA91b-1", "android"),
        ("cleos-iPhone:APA91b-1", "iphone"),
        ("phone:APA91b-iphone", "android"),
        ("named-in-the-rule:APA91b-1", "iphone"),
    ],
)
def test_google_knows_which_devices_are_iphones(
    sandbox: Sandbox, fcm: FcmSender, token: str, device: str
) -> None:
    sandbox.control(iphones=["named-in-the-rule:APA91b-1"])

    assert fcm.send({"token": token, "data": {}}).status == 200

    assert [push["device"] for push in sandbox.inbox(token=token)] == [device]
