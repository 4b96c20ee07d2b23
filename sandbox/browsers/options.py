"""What a browser makes of a push: declarative, or options for its Notification.

A push service sees none of it. A browser throws a TypeError in the service worker,
which then shows nothing; for WebKit, a wrong type makes a declarative push an ordinary
one.
"""

from typing import Any
from urllib.parse import urlsplit

# A number of this value in `web_push` makes a push declarative.
DECLARATIVE = 8030
DIRECTIONS = ("auto", "ltr", "rtl")
_TEXTS = ("body", "lang", "tag", "icon")


def is_declarative(value: dict[str, Any]) -> bool:
    """Whether Safari shows the push by itself."""
    version, shown = value.get("web_push"), value.get("notification")
    if type(version) not in (int, float) or version != DECLARATIVE:
        return False
    if not isinstance(shown, dict):
        return False
    title, target = shown.get("title"), shown.get("navigate")
    if not isinstance(title, str) or not title or not _is_absolute(target):
        return False
    return (
        shown.get("dir", "auto") in DIRECTIONS
        and all(isinstance(shown.get(name, ""), str) for name in _TEXTS)
        and isinstance(shown.get("silent", False), bool)
        and _is_count(value.get("app_badge", 0))
        and isinstance(value.get("mutable", False), bool)
    )


def type_error(options: dict[str, Any]) -> str | None:
    """Why the browser throws a TypeError; None if it shows the notification."""
    is_silent, is_loud = options.get("silent") is True, options.get("renotify") is True
    problems = {
        "dir is none of auto, ltr and rtl": options.get("dir", "auto")
        not in DIRECTIONS,
        "a silent notification cannot vibrate": is_silent and "vibrate" in options,
        "renotify needs a tag": is_loud and not options.get("tag"),
        "vibrate has no numbers": not _are_pauses(options.get("vibrate", [])),
        "timestamp is no number": not _is_number(options.get("timestamp", 0)),
        "an action has no name or title": not _are_actions(options.get("actions", [])),
    }
    return next((words for words, is_so in problems.items() if is_so), None)


def _is_absolute(address: Any) -> bool:
    if not isinstance(address, str):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    # WebKit also takes digits in a text.
    if isinstance(value, str):
        return value.isdecimal()
    return type(value) is int and 0 <= value < 2**64


def _are_pauses(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_number, value))
    return _is_number(value)


def _are_actions(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and all(isinstance(one.get(name), str) for name in ("action", "title"))
        for one in value
    )
