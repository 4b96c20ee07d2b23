"""Apple's dictionary `aps`, with what a kind sets in it; for APNs and behind FCM."""

from collections.abc import Mapping
from typing import Any

from models.apns_push_types import RELOADS
from models.pushes import Notification, Shown

Aps = Mapping[str, Any]

# A key for a text of the app's own, and the text that it takes the place of.
_LOCALIZED = {
    "title-loc-key": "title",
    "subtitle-loc-key": "subtitle",
    "loc-key": "body",
}
# Apple refuses these in a background push, or a phone has no use for them there.
MUTABLE = "mutable-content"
_SEEN = ("alert", "badge", "sound", MUTABLE, "interruption-level")


def body_of(shown: Shown, own: Aps) -> str:
    """The text of the alert, which is cut if it is too long."""
    return str(own.get("alert", {}).get("body", shown.body))


def background(own: Aps) -> dict[str, Any]:
    """The keys of a push that shows nothing."""
    unseen = {name: value for name, value in own.items() if name not in _SEEN}
    return {"content-available": 1, **unseen}


def with_own(aps: Aps, own: Aps, text: str) -> dict[str, Any]:
    """The built-in keys, with the kind's own ones in their place.

    `text` is what `body_of` gives, perhaps cut.
    """
    # A placeholder without a value leaves the built-in one.
    merged = {**aps, **{name: value for name, value in own.items() if value != ""}}
    if alert := own.get("alert"):
        merged["alert"] = _alert(aps["alert"], alert, text)
    if own.get("sound") == "":
        # Apple has no name for silence.
        del merged["sound"]
    return merged


def _alert(built_in: Aps, own: Aps, text: str) -> dict[str, Any]:
    merged = {**built_in, **own}
    if text:
        merged["body"] = text
    else:
        merged.pop("body", None)
    for key, name in _LOCALIZED.items():
        if key in own:
            # A phone would prefer the text.
            merged.pop(name, None)
    return merged


def raw(own: Aps, push_type: str, notification: Notification) -> dict[str, Any]:
    """The keys for a push type whose payload is the kind's own."""
    if push_type in RELOADS:
        return {"content-changed": True}
    if "alert" not in own:
        # A closed preview has removed it, and Apple wants one beside this key.
        own = {name: value for name, value in own.items() if name != MUTABLE}
    if push_type != "liveactivity":
        return dict(own)
    aps = {"timestamp": int(notification.created_at.timestamp()), **own}
    shown = notification.shown
    if aps.get("event") == "start" and "alert" not in aps and shown is not None:
        aps["alert"] = {"title": shown.title, "body": shown.body}
    return aps
