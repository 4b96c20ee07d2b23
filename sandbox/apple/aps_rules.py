"""The dictionary `aps` of a payload, key by key.

Apple is not known to check these values: a phone ignores a key with a wrong value. The
sandbox refuses it, so that nobody wonders where the sound is.
"""

from collections.abc import Callable
from typing import Any

from sandbox.apple.apns_errors import ApnsRefusal

Check = Callable[[Any], bool]
LEVELS = ("passive", "active", "time-sensitive", "critical")
EVENTS = ("start", "update", "end")


def check(aps: dict[str, Any], push_type: str | None) -> None:
    """Check names and values; raises ApnsRefusal with a reason of our choice."""
    for name, value in aps.items():
        # Own keys belong beside `aps`: inside it, a phone ignores them.
        known = KEYS.get(name)
        if known is None or not known(value):
            raise ApnsRefusal(400, "PayloadEmpty")
    if "content-changed" in aps and push_type not in (None, "widgets", "controls"):
        raise ApnsRefusal(400, "PayloadEmpty")
    # The service extension runs for visible alerts only.
    if "mutable-content" in aps and not aps.get("alert"):
        raise ApnsRefusal(400, "PayloadEmpty")
    if push_type == "liveactivity":
        _check_live_activity(aps)
        return
    if push_type is not None and OF_ACTIVITIES & aps.keys():
        raise ApnsRefusal(400, "PayloadEmpty")
    score = aps.get("relevance-score", 0)
    if not 0 <= score <= 1:
        raise ApnsRefusal(400, "PayloadEmpty")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_one(value: Any) -> bool:
    return type(value) is int and value == 1


def _is_alert(value: Any) -> bool:
    if not isinstance(value, dict):
        return _is_text(value)
    for name, part in value.items():
        if name not in ALERT or not ALERT[name](part):
            return False
    # Arguments without their key have no place to go.
    keys = ("title-loc", "subtitle-loc", "loc")
    return all(f"{k}-args" not in value or f"{k}-key" in value for k in keys)


def _is_sound(value: Any) -> bool:
    if not isinstance(value, dict):
        return _is_text(value)
    return (
        value.keys() <= {"critical", "name", "volume"}
        and _is_whole(value.get("critical", 0))
        and value.get("critical", 0) <= 1
        and bool(value.get("name"))
        and _is_text(value.get("name"))
        and _is_number(value.get("volume", 1))
        and 0 <= value.get("volume", 1) <= 1
    )


ALERT: dict[str, Check] = {
    **dict.fromkeys(
        (
            "title",
            "subtitle",
            "body",
            "title-loc-key",
            "subtitle-loc-key",
            "loc-key",
            "launch-image",
        ),
        _is_text,
    ),
    **dict.fromkeys(("title-loc-args", "subtitle-loc-args", "loc-args"), _is_texts),
}
_ACTIVITY: dict[str, Check] = {
    "timestamp": _is_whole,
    "event": lambda value: value in EVENTS,
    "content-state": _is_object,
    "attributes-type": _is_text,
    "attributes": _is_object,
    "stale-date": _is_whole,
    "dismissal-date": _is_whole,
    "input-push-token": _is_one,
    "input-push-channel": _is_text,
}
KEYS: dict[str, Check] = {
    "alert": _is_alert,
    "badge": _is_whole,
    "sound": _is_sound,
    "thread-id": _is_text,
    "category": _is_text,
    "content-available": _is_one,
    "mutable-content": _is_one,
    "target-content-id": _is_text,
    "interruption-level": lambda value: value in LEVELS,
    "relevance-score": _is_number,
    "filter-criteria": _is_text,
    "content-changed": lambda value: value is True,
    "url-args": _is_texts,
    **_ACTIVITY,
}
# No other push has these.
OF_ACTIVITIES = _ACTIVITY.keys()
# The keys that an event of a Live Activity needs beside `timestamp`.
NEEDED = {
    "start": {"content-state", "attributes-type", "attributes", "alert"},
    "update": {"content-state"},
    "end": set[str](),
}
ONLY_AT_START = {
    "attributes-type",
    "attributes",
    "input-push-token",
    "input-push-channel",
}


def _check_live_activity(aps: dict[str, Any]) -> None:
    event = aps.get("event")
    if "timestamp" not in aps or event not in EVENTS:
        raise ApnsRefusal(400, "InvalidPushType")
    needed = NEEDED[event]
    both = {"input-push-token", "input-push-channel"}
    if (
        not needed <= aps.keys()
        or (event != "start" and ONLY_AT_START & aps.keys())
        or (event != "end" and "dismissal-date" in aps)
        or both <= aps.keys()
    ):
        raise ApnsRefusal(400, "PayloadEmpty")
