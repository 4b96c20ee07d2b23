"""What FCM hands on to Apple and to browsers, checked as these would check it.

Google's own words for it are not known.
"""

from typing import Any

from sandbox.apple import apns_rules
from sandbox.apple.apns_errors import ApnsRefusal
from sandbox.browsers import rules
from sandbox.google.fcm_errors import bad_field

# What Google adds if it is not there.
DEFAULT_PRIORITY = "10"


def check(message: dict[str, Any]) -> None:
    """Check the blocks `apns` and `webpush`; raises FcmRefusal."""
    if "apns" in message:
        _check_apple(message["apns"])
    if "webpush" in message:
        _check_browser(message["webpush"].get("headers", {}))


def _check_apple(block: dict[str, Any]) -> None:
    fields = {name.lower(): value for name, value in block.get("headers", {}).items()}
    push_type = fields.get("apns-push-type")
    if push_type is None and "live_activity_token" in block:
        push_type = "liveactivity"
    payload = block.get("payload", {})
    try:
        apns_rules.check_headers(fields)
    except ApnsRefusal as refusal:
        raise bad_field("message.apns.headers", refusal.reason) from None
    if "aps" not in payload:
        return
    if not isinstance(payload["aps"], dict):
        raise bad_field("message.apns.payload.aps", "not an object")
    priority = fields.get("apns-priority", DEFAULT_PRIORITY)
    try:
        apns_rules.check_kind(payload, push_type, priority)
    except ApnsRefusal as refusal:
        raise bad_field("message.apns.payload.aps", refusal.reason) from None


def _check_browser(headers: dict[str, str]) -> None:
    fields = {name.lower(): value for name, value in headers.items()}
    if not rules.is_ttl(fields.get("ttl", "0")):
        raise bad_field("message.webpush.headers[TTL]", "not a number of seconds")
    if fields.get("urgency", "normal") not in rules.URGENCIES:
        raise bad_field("message.webpush.headers[Urgency]", "unknown urgency")
    topic = fields.get("topic")
    if topic is not None and not rules.is_topic(topic, "strict"):
        raise bad_field("message.webpush.headers[Topic]", "bad topic")
