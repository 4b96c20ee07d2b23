"""The schema of FCM's HTTP v1 message; unknown fields are refused."""

import json
import re
from collections.abc import Callable
from typing import Any

from sandbox.google.fcm_errors import bad_field, bad_token

LARGEST = 4096
LARGEST_FOR_TOPIC = 2048
ADDRESSES = ("token", "topic", "condition", "fid")
LONGEST_TTL_S = 2_419_200
_RESERVED = re.compile(r"from|message_type|(?:google|gcm).*")
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s")
_TOKEN = re.compile(r"[A-Za-z0-9_:.\-]{1,4096}")
_TOPIC = re.compile(r"[a-zA-Z0-9\-_.~%]{1,900}")
_CAMEL = re.compile(r"([a-z0-9])([A-Z])")

Check = Callable[[Any, str], None]
Shape = "dict[str, Check | dict[str, Any]]"


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise bad_field(where, "not a string")


def _flag(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise bad_field(where, "neither true nor false")


def _count(value: Any, where: str) -> None:
    # Protocol Buffers in JSON may write numbers as strings.
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or not 0 <= number < 2**31:
        raise bad_field(where, "not a number of 32 bits")


def _texts(value: Any, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise bad_field(where, "not a list of strings")


def _anything(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise bad_field(where, "not an object")


def _text_map(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise bad_field(where, "not an object")
    for key, one in value.items():
        if not isinstance(one, str):
            raise bad_field(f"{where}[{key}]", "not a string")


def _data(value: Any, where: str) -> None:
    _text_map(value, where)
    for key in value:
        if _RESERVED.fullmatch(key):
            raise bad_field(where, f"Invalid data payload key: {key}")


def _duration(value: Any, where: str) -> None:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found[1]) > LONGEST_TTL_S:
        raise bad_field(where, "not a duration between 0s and four weeks")


def _one_of(*names: str) -> Check:
    def check(value: Any, where: str) -> None:
        if value not in names:
            raise bad_field(where, f"none of {', '.join(names)}")

    return check


_options: dict[str, Any] = {"analytics_label": _text}
_android_notification: dict[str, Any] = {
    **dict.fromkeys(
        (
            "title",
            "body",
            "icon",
            "color",
            "sound",
            "tag",
            "click_action",
            "body_loc_key",
            "title_loc_key",
            "channel_id",
            "ticker",
            "event_time",
            "image",
        ),
        _text,
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
        _flag,
    ),
    "body_loc_args": _texts,
    "title_loc_args": _texts,
    "vibrate_timings": _texts,
    "light_settings": _anything,
    "notification_count": _count,
    "notification_priority": _one_of(
        *(
            f"PRIORITY_{name}"
            for name in ["UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX"]
        )
    ),
    "visibility": _one_of("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
    "proxy": _one_of("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
}
MESSAGE: dict[str, Any] = {
    **dict.fromkeys((*ADDRESSES, "name"), _text),
    "data": _data,
    "notification": dict.fromkeys(("title", "body", "image"), _text),
    "android": {
        "collapse_key": _text,
        "priority": _one_of("normal", "high", "NORMAL", "HIGH"),
        "ttl": _duration,
        "restricted_package_name": _text,
        "data": _data,
        "notification": _android_notification,
        "fcm_options": _options,
        "direct_boot_ok": _flag,
        "bandwidth_constrained_ok": _flag,
        "restricted_satellite_ok": _flag,
    },
    "webpush": {
        "headers": _text_map,
        "data": _text_map,
        "notification": _anything,
        "fcm_options": {"link": _text, "analytics_label": _text},
    },
    "apns": {
        "headers": _text_map,
        "payload": _anything,
        "fcm_options": {"analytics_label": _text, "image": _text},
        "live_activity_token": _text,
    },
    "fcm_options": _options,
}
BODY: dict[str, Any] = {"message": MESSAGE, "validate_only": _flag}


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
    android = message.get("android")
    if android is None:
        return None
    tag: str | None = android.get("notification", {}).get("tag")
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
    if given[0] in ("token", "fid") and not _TOKEN.fullmatch(message[given[0]]):
        raise bad_token()
    if given[0] == "topic" and not _TOPIC.fullmatch(message["topic"]):
        raise bad_field("message.topic", "Malformed topic name")


def _check_size(message: dict[str, Any]) -> None:
    """Check the size of what is sent to the phone, without the address."""
    carried = {name: one for name, one in message.items() if name not in ADDRESSES}
    text = json.dumps(carried, ensure_ascii=False, separators=(",", ":"))
    limit = LARGEST if "token" in message or "fid" in message else LARGEST_FOR_TOPIC
    if len(text.encode("utf-8", "replace")) > limit:
        raise bad_field("message", "Message is too big.")
