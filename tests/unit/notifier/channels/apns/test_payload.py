"""Pushes to APNs: payload, path and header fields."""

import json
import re
from typing import Any

import pytest
from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pushes import MESSAGE, READ, WITHDRAW, Target
from notifier.channels.apns import payload as apns_payload
from notifier.channels.apns.payload import ApnsPayload
from notifier.http2 import Request
from tests.support.notifications import EXPIRES_AT, make_notification, make_target

anything = st.text(st.characters(codec=None), max_size=80)
anyones_text = st.text(st.characters(codec="utf-8"), max_size=3000)
data = st.dictionaries(
    st.text(max_size=8).filter(lambda k: k not in ("aps", "bottlepost")),
    st.text(max_size=30),
    max_size=5,
)


def request_to(target: Target, rendered: ApnsPayload) -> Request:
    [request] = rendered.requests([target])
    return request


def push_to(target: Target, **changes: Any) -> Request:
    return request_to(target, apns_payload.render(make_notification(**changes)))


def payload_of(request: Request) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(request.body)
    return payload


def fields_of(request: Request) -> dict[str, str]:
    return dict(Decoder().decode(request.fields))


def test_an_alert_names_sender_conversation_and_text() -> None:
    notification = make_notification(data={"colour": "red"})

    request = request_to(make_target(badge=4), apns_payload.render(notification))

    assert payload_of(request) == {
        "aps": {
            "alert": {"title": "Ada", "subtitle": "Harbour", "body": "Ship ahoy"},
            "badge": 4,
            "sound": "default",
            "thread-id": "chat-3",
        },
        "bottlepost": {"conversation": 3, "message": 7, "seq": 5},
        "colour": "red",
    }


def test_an_alert_is_of_its_type_and_immediate() -> None:
    rendered = apns_payload.render(make_notification())

    assert (rendered.push_type, rendered.priority) == ("alert", "10")


def test_a_silent_push_has_nothing_to_show_and_is_in_no_hurry() -> None:
    rendered = apns_payload.render(
        make_notification(silent=True, data={"colour": "red"})
    )

    assert (rendered.push_type, rendered.priority) == ("background", "5")
    assert payload_of(request_to(make_target(badge=4), rendered)) == {
        "aps": {"content-available": 1},
        "bottlepost": {"conversation": 3, "message": 7, "seq": 5, "badge": 4},
        "colour": "red",
    }


def test_a_withdrawal_tells_the_app_which_notification_to_take_away() -> None:
    notification = make_notification(kind=WITHDRAW)
    rendered = apns_payload.render(notification)
    request = request_to(make_target(badge=1), rendered)

    assert (rendered.push_type, rendered.priority) == ("background", "5")
    assert payload_of(request) == {
        "aps": {"content-available": 1},
        "bottlepost": {
            "kind": "withdraw",
            "conversation": 3,
            "message": 7,
            "seq": 5,
            "badge": 1,
        },
    }
    assert fields_of(request)["apns-collapse-id"] == "message-7"


def test_a_conversation_that_was_read_corrects_the_badge_without_a_sound() -> None:
    rendered = apns_payload.render(make_notification(kind=READ))
    request = request_to(make_target(badge=0), rendered)

    assert (rendered.push_type, rendered.priority) == ("alert", "5")
    assert payload_of(request)["aps"] == {"badge": 0}
    assert payload_of(request)["bottlepost"]["kind"] == "read"
    assert fields_of(request)["apns-collapse-id"] == "read-3"


def test_a_message_and_its_withdrawal_are_different_pushes() -> None:
    ids = {
        fields_of(push_to(make_target(), kind=kind))["apns-id"]
        for kind in (MESSAGE, WITHDRAW, READ)
    }

    assert len(ids) == 3


def test_header_fields_carry_the_job_and_the_push() -> None:
    fields = fields_of(push_to(make_target()))

    assert fields["apns-collapse-id"] == "message-7"
    assert fields["apns-expiration"] == str(int(EXPIRES_AT.timestamp()))
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", fields["apns-id"])


def test_the_id_of_a_push_is_the_same_in_every_try() -> None:
    first = push_to(make_target(9), job_id=1)
    again = push_to(make_target(9), job_id=2)

    assert fields_of(first) == fields_of(again)


def test_the_id_of_a_push_is_its_own() -> None:
    ids = {
        fields_of(push_to(make_target(d), message_id=m))["apns-id"]
        for m in range(1, 30)
        for d in (*range(1, 30), 2**47)
    }

    assert len(ids) == 29 * 30


def test_the_id_stays_well_formed_for_the_largest_device() -> None:
    request = push_to(make_target(2**63 - 1))

    assert len(fields_of(request)["apns-id"]) == 36


@pytest.mark.parametrize(
    ("token", "path"),
    [
        ("00aaff", b"/3/device/00aaff"),
        ("unregistered-1", b"/3/device/unregistered-1"),
        ("a/b?c#d%", b"/3/device/a%2Fb%3Fc%23d%25"),
        ("ä\r\n", b"/3/device/%C3%A4%0D%0A"),
    ],
)
def test_a_token_cannot_leave_its_place_in_the_path(token: str, path: bytes) -> None:
    assert push_to(make_target(1, token)).path == path


def test_text_is_cut_so_that_the_payload_fits() -> None:
    notification = make_notification(text="🚢" * 4000)

    request = request_to(
        make_target(badge=9_999_999_999), apns_payload.render(notification)
    )

    body = payload_of(request)["aps"]["alert"]["body"]
    assert 4090 <= len(request.body) <= 4096
    assert body == "🚢" * (len(body) - 1) + "…"


def test_data_that_leaves_no_room_is_refused() -> None:
    for silent in (False, True):
        with pytest.raises(ValueError, match="data of the message"):
            apns_payload.render(
                make_notification(data={"k": "v" * 4096}, silent=silent)
            )


@pytest.mark.parametrize("key", ["aps", "bottlepost"])
def test_reserved_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        apns_payload.render(make_notification(data={key: "x"}))


@settings(max_examples=60)
@given(anyones_text, st.text(max_size=100), data, st.integers(0, 10**10 - 1))
def test_whatever_is_written_arrives_or_is_cut(
    text: str, name: str, data: dict[str, str], badge: int
) -> None:
    notification = make_notification(text=text, sender_name=name, data=data)

    request = request_to(make_target(badge=badge), apns_payload.render(notification))

    payload = payload_of(request)
    shown = payload["aps"]["alert"].get("body", "")
    assert len(request.body) <= 4096
    assert payload["aps"]["badge"] == badge
    assert {key: payload[key] for key in data} == data
    assert shown == text or text.startswith(shown.removesuffix("…"))


@settings(max_examples=60)
@given(anything, anything)
def test_text_that_is_no_unicode_is_pushed_all_the_same(text: str, name: str) -> None:
    notification = make_notification(text=text, sender_name=name)

    payload_of(request_to(make_target(), apns_payload.render(notification)))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_token_makes_a_path_of_plain_characters(token: str) -> None:
    path = push_to(make_target(1, token)).path

    assert re.fullmatch(rb"/3/device/[A-Za-z0-9._~%-]*", path or b"")
