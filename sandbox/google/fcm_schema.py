"""The schema of FCM's HTTP v1 message; unknown fields are refused."""

import json
import re
from typing import Any

from sandbox.google import fcm_checks, fcm_handed_on
from sandbox.google.fcm_errors import bad_field, bad_token, unregistered

LARGEST = 4096
LARGEST_FOR_TOPIC = 2048
ADDRESSES = ("token", "topic", "condition", "fid")
_TOKEN = re.compile(r"[A-Za-z0-9_:.\-]{1,4096}")
# An installation id: Google's own apps make no other.
_FID = re.compile(r"[cdef][A-Za-z0-9_-]{21}")
_TOPIC = re.compile(r"[a-zA-Z0-9\-_.~%]{1,900}")
_CAMEL = re.compile(r"([a-z0-9])([A-Z])")

_options: dict[str, Any] = {"analytics_label": fcm_checks.label}
_android_notification: dict[str, Any] = {
    **dict.fromkeys(
        (
            "title",
            "body",
            "icon",
            "sound",
            "tag",
            "click_action",
            "body_loc_key",
            "title_loc_key",
            "channel_id",
            "ticker",
            "image",
        ),
        fcm_checks.text,
    ),
    **dict.fromkeys(
        (
            "sticky",
            "local_only",
            "default_sound",
            "default_vibrate_timings",
            "default_light_settings",
            "bypass_proxy_notification",
        ),
        fcm_checks.flag,
    ),
    "body_loc_args": fcm_checks.texts,
    "title_loc_args": fcm_checks.texts,
    "color": fcm_checks.color,
    "event_time": fcm_checks.moment,
    "vibrate_timings": fcm_checks.pauses,
    "light_settings": fcm_checks.light,
    "notification_count": fcm_checks.count,
    "notification_priority": fcm_checks.one_of(
        *(
            f"PRIORITY_{name}"
            for name in ["UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX"]
        )
    ),
    "visibility": fcm_checks.one_of(
        "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"
    ),
    "proxy": fcm_checks.one_of(
        "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"
    ),
}
# What both forms of messages to Android have.
_for_android: dict[str, Any] = {
    "collapse_key": fcm_checks.text,
    "ttl": fcm_checks.duration,
    "restricted_package_name": fcm_checks.text,
    "data": fcm_checks.data,
    "fcm_options": _options,
    "direct_boot_ok": fcm_checks.flag,
    "bandwidth_constrained_ok": fcm_checks.flag,
    "restricted_satellite_ok": fcm_checks.flag,
}
_of_v1_only = ("proxy", "bypass_proxy_notification")
_remote_notification: dict[str, Any] = {
    "mutable_content": fcm_checks.flag,
    "use_as_v1_data_message": fcm_checks.flag,
    "notification": {
        **{k: v for k, v in _android_notification.items() if k not in _of_v1_only},
        "id": fcm_checks.count,
    },
}
MESSAGE: dict[str, Any] = {
    **dict.fromkeys((*ADDRESSES, "name"), fcm_checks.text),
    "condition": fcm_checks.condition,
    "data": fcm_checks.data,
    "notification": dict.fromkeys(("title", "body", "image"), fcm_checks.text),
    "android": {
        **_for_android,
        "priority": fcm_checks.one_of("normal", "high", "NORMAL", "HIGH"),
        "notification": _android_notification,
    },
    "android_v2": {
        **_for_android,
        "remote_notification": _remote_notification,
        "background_sync": {},
    },
    "webpush": {
        "headers": fcm_checks.text_map,
        "data": fcm_checks.text_map,
        "notification": fcm_checks.anything,
        "fcm_options": {
            "link": fcm_checks.secure_link,
            "analytics_label": fcm_checks.label,
        },
    },
    "apns": {
        "headers": fcm_checks.text_map,
        "payload": fcm_checks.anything,
        "fcm_options": {"analytics_label": fcm_checks.label, "image": fcm_checks.text},
        "live_activity_token": fcm_checks.filled_text,
    },
    "fcm_options": _options,
}
BODY: dict[str, Any] = {"message": MESSAGE, "validate_only": fcm_checks.flag}


def read(body: bytes) -> tuple[dict[str, Any], bool]:
    """Return the message, and whether it is a dry run; raises FcmRefusal."""
    try:
        parsed = json.loads(body)
    except ValueError:
        raise bad_field("body", "not JSON") from None
    whole = _walk(parsed, BODY, "")
    message = whole.get("message")
    if message is None:
        raise bad_field("message", "Recipient of the message is not set.")
    _check_address(message)
    _check_android(message)
    fcm_handed_on.check(message)
    if len(body) > LARGEST_FOR_TOPIC:
        _check_size(message)
    return message, whole.get("validate_only", False)


def address(message: dict[str, Any]) -> str:
    """The token, topic, condition or fid of the message."""
    for name in ADDRESSES:
        if name in message:
            return str(message[name])
    return ""


def collapse_id(message: dict[str, Any]) -> str | None:
    """The id by which a notification replaces an earlier one on the phone."""
    android = message.get("android") or message.get("android_v2")
    if android is None:
        return None
    holder = android.get("remote_notification", android)
    tag: str | None = holder.get("notification", {}).get("tag")
    return tag or android.get("collapse_key")


def _walk(value: Any, shape: dict[str, Any], where: str) -> dict[str, Any]:
    """Check an object; returns it with its names in snake case."""
    if not isinstance(value, dict):
        raise bad_field(where or "body", "not an object")
    checked: dict[str, Any] = {}
    for given, one in value.items():
        name = given if given in shape else _CAMEL.sub(r"\1_\2", given).lower()
        rule = shape.get(name)
        path = f"{where}.{name}" if where else name
        if rule is None:
            place = where or "the body"
            raise bad_field(place, f'Unknown name "{given}": Cannot find field.')
        if isinstance(rule, dict) and one is not None:
            checked[name] = _walk(one, rule, path)
        elif one is not None:
            rule(one, path)
            checked[name] = one
    return checked


def _check_address(message: dict[str, Any]) -> None:
    given = [name for name in ADDRESSES if name in message]
    if len(given) != 1:
        raise bad_field(
            "message", "Exactly one of token, topic, condition and fid is needed."
        )
    if given[0] == "token" and not _TOKEN.fullmatch(message["token"]):
        raise bad_token()
    if given[0] == "fid" and not _FID.fullmatch(message["fid"]):
        raise unregistered()
    if given[0] == "topic" and not _TOPIC.fullmatch(message["topic"]):
        raise bad_field("message.topic", "Malformed topic name")


def _check_android(message: dict[str, Any]) -> None:
    """Check what depends on other fields; Google's own words are not known."""
    if "android" in message and "android_v2" in message:
        raise bad_field("message.android_v2", "not together with android")
    v2 = message.get("android_v2")
    if (
        v2 is not None
        and len(v2.keys() & {"remote_notification", "background_sync"}) != 1
    ):
        raise bad_field(
            "message.android_v2", "needs remote_notification or background_sync"
        )
    holder = (v2 or {}).get("remote_notification", message.get("android", {}))
    shown = holder.get("notification", {})
    for part in ("title", "body"):
        if f"{part}_loc_args" in shown and f"{part}_loc_key" not in shown:
            raise bad_field(
                "message.android.notification", f"{part}_loc_args without its key"
            )


def _check_size(message: dict[str, Any]) -> None:
    """Check the size of what is sent to the phone, without the address."""
    carried = {name: one for name, one in message.items() if name not in ADDRESSES}
    text = json.dumps(carried, ensure_ascii=False, separators=(",", ":"))
    limit = LARGEST if "token" in message or "fid" in message else LARGEST_FOR_TOPIC
    if len(text.encode("utf-8", "replace")) > limit:
        raise bad_field("message", "Message is too big.")
