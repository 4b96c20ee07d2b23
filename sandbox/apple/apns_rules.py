"""Apple's rules for the headers and the payload of a notification."""

import json
import re
from typing import Any

from sandbox.apple import aps_rules
from sandbox.apple.apns_errors import ApnsRefusal
from sandbox.wire.exchange import Fields

LARGEST = 4096
LARGEST_VOIP = 5120
LONGEST_COLLAPSE_ID = 64

# Push type → the suffix of its topic, after the app's bundle id.
SUFFIXES = {
    "alert": "",
    "background": "",
    "voip": ".voip",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    "mdm": "",
    "location": ".location-query",
    "liveactivity": ".push-type.liveactivity",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
    "controls": ".push-type.controls",
}
# Those that do not take every priority; the reason for a wrong one is our choice.
PRIORITIES = {"location": ("5", "10"), "liveactivity": ("5", "10")}
_VISIBLE = ("alert", "sound", "badge")
# All that widgets and controls are told.
_RELOAD = {"aps": {"content-changed": True}}
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_NUMBER = re.compile(r"\d{1,15}")


def check_headers(fields: Fields) -> None:
    """Check id, priority, expiration, collapse id and the push type's name."""
    apns_id = fields.get("apns-id")
    if apns_id is not None and not _ID.fullmatch(apns_id):
        raise ApnsRefusal(400, "BadMessageId")
    if fields.get("apns-priority", "10") not in ("10", "5", "1"):
        raise ApnsRefusal(400, "BadPriority")
    if not _NUMBER.fullmatch(fields.get("apns-expiration", "0")):
        raise ApnsRefusal(400, "BadExpirationDate")
    collapse_id = fields.get("apns-collapse-id")
    if collapse_id is not None and not (
        0 < len(collapse_id.encode()) <= LONGEST_COLLAPSE_ID
    ):
        raise ApnsRefusal(400, "BadCollapseId")
    if fields.get("apns-push-type", "alert") not in SUFFIXES:
        raise ApnsRefusal(400, "InvalidPushType")


def check_topic(
    topic: str | None, push_type: str | None, topics: tuple[str, ...]
) -> None:
    """Check that the topic is the team's and has the suffix of the push type."""
    if topic is None:
        raise ApnsRefusal(400, "MissingTopic")
    if not _TOPIC.fullmatch(topic):
        raise ApnsRefusal(400, "BadTopic")
    bundle = next(
        (known for known in topics if topic == known or topic.startswith(f"{known}.")),
        None,
    )
    if bundle is None:
        raise ApnsRefusal(400, "TopicDisallowed")
    suffix = topic[len(bundle) :]
    if push_type is None:
        fits = suffix in SUFFIXES.values()
    else:
        fits = suffix == SUFFIXES[push_type]
    if not fits:
        raise ApnsRefusal(400, "DeviceTokenNotForTopic")


def check_size(body: bytes, topic: str | None, push_type: str | None) -> None:
    """Check the size; VoIP pushes may be larger than others."""
    is_voip = push_type == "voip" or (topic or "").endswith(".voip")
    if not body:
        raise ApnsRefusal(400, "PayloadEmpty")
    if len(body) > (LARGEST_VOIP if is_voip else LARGEST):
        raise ApnsRefusal(413, "PayloadTooLarge")


def check_payload(body: bytes, push_type: str | None, priority: str) -> None:
    """Check that the body is a JSON object whose `aps` fits the push type."""
    try:
        payload = json.loads(body)
    except ValueError:
        raise ApnsRefusal(400, "PayloadEmpty") from None
    if not isinstance(payload, dict):
        raise ApnsRefusal(400, "PayloadEmpty")
    if push_type == "mdm":
        if "mdm" not in payload:
            raise ApnsRefusal(400, "InvalidPushType")
        return
    aps = payload.get("aps")
    if not isinstance(aps, dict):
        raise ApnsRefusal(400, "PayloadEmpty")
    check_kind(payload, push_type, priority)


def check_kind(payload: dict[str, Any], push_type: str | None, priority: str) -> None:
    """Check that what is in `aps`, which is an object, fits the push type."""
    aps = payload["aps"]
    if push_type in ("widgets", "controls") and payload != _RELOAD:
        raise ApnsRefusal(400, "InvalidPushType")
    visible = any(name in aps for name in _VISIBLE)
    silent = aps.get("content-available") == 1 and not visible
    if push_type == "background" and not silent:
        raise ApnsRefusal(400, "InvalidPushType")
    if push_type == "alert" and not visible:
        raise ApnsRefusal(400, "InvalidPushType")
    # A push that shows nothing must not wake the screen, with or without a type.
    if silent and push_type in (None, "background") and priority != "5":
        raise ApnsRefusal(400, "BadPriority")
    if priority not in PRIORITIES.get(push_type or "", (priority,)):
        raise ApnsRefusal(400, "BadPriority")
    aps_rules.check(aps, push_type)
