"""What the sandbox says to a definition: the providers' second opinion.

Each block becomes a request as the provider gets it, whether or not the definition is
one that we would save.
"""

import json
from collections.abc import Mapping
from typing import Any

from sandbox.apple import apns_rules
from sandbox.apple.apns_errors import ApnsRefusal
from sandbox.browsers import options, rules
from sandbox.browsers.manners import WebpushRefusal
from sandbox.google import fcm_schema
from sandbox.google.fcm_errors import FcmRefusal

APP = "org.example.chat"
ALERT = {"title": "Ann", "subtitle": "Trip", "body": "See you at 8"}
Block = Mapping[str, Any]


def refusal(definition: Block) -> str | None:
    """Why a provider or a browser refuses one of the blocks; None if none does."""
    try:
        if "apns" in definition:
            _to_apple(definition["apns"])
        if "fcm" in definition:
            _to_google(definition["fcm"])
        if "webpush" in definition:
            return _to_browser(definition["webpush"])
    except (ApnsRefusal, FcmRefusal, WebpushRefusal) as refused:
        return str(refused)
    return _type_error(definition.get("fcm", {}).get("webpush", {}))


def _to_apple(block: Block) -> None:
    headers = block.get("headers", {})
    push_type = headers.get("push_type", "alert")
    default = 5 if push_type == "background" else 10
    fields = {
        "apns-push-type": str(push_type),
        "apns-priority": str(headers.get("priority", default)),
        "apns-expiration": str(headers.get("expiration", 1_900_000_000)),
        "apns-collapse-id": str(headers.get("collapse_id", "message-7")),
    }
    apns_rules.check_headers(fields)
    suffix = headers.get("topic_suffix", apns_rules.SUFFIXES[push_type])
    apns_rules.check_topic(APP + suffix, push_type, (APP,))
    payload = {**block.get("payload", {})}
    if push_type != "mdm":
        payload["aps"] = _aps(push_type, block.get("aps", {}), {"badge": 3})
    body = json.dumps(payload).encode()
    apns_rules.check_size(body, APP + suffix, push_type)
    apns_rules.check_payload(body, push_type, fields["apns-priority"])


def _aps(push_type: str, own: Block, badge: Block) -> dict[str, Any]:
    """What Bottlepost adds to the kind's own keys."""
    if push_type == "background":
        return {"content-available": 1, **own}
    if push_type == "liveactivity":
        alert = {"alert": ALERT} if own.get("event") == "start" else {}
        return {"timestamp": 1, **alert, **own}
    if push_type != "alert":
        return {**own}
    alert = own.get("alert", {})
    if isinstance(alert, Mapping):
        alert = {**ALERT, **alert}
    return {"sound": "default", **badge, **own, "alert": alert}


def _to_google(block: Block) -> None:
    own = {name: value for name, value in block.items() if name != "data_only"}
    message = {"token": "abc", "data": {"bottlepost": "{}"}, **own}
    if not block.get("data_only"):
        shown = {"title": "Ann", "body": "See you at 8"}
        message["notification"] = {**shown, **block.get("notification", {})}
    if "apns" in own:
        message["apns"] = _behind_google(own["apns"])
    fcm_schema.read(json.dumps({"message": message}).encode())


def _behind_google(block: Block) -> dict[str, Any]:
    headers, payload = block.get("headers", {}), block.get("payload", {})
    default = "liveactivity" if "live_activity_token" in block else "alert"
    push_type = headers.get("apns-push-type", default)
    aps = _aps(push_type, payload.get("aps", {}), {"badge": 3})
    own = {"apns-priority": "5"} if push_type == "background" else {}
    return {
        **block,
        "headers": {**own, **headers},
        "payload": {**payload, "aps": aps},
    }


def _to_browser(block: Block) -> str | None:
    fields = {
        "ttl": "60",
        "urgency": block.get("urgency", "high"),
        "content-encoding": "aes128gcm",
    }
    if "topic" in block:
        fields["topic"] = block["topic"]
    for manner in rules.MANNERS:
        rules.check(manner, fields, b"encrypted")
    shown = {"title": "Ann", "body": "See you at 8", "tag": "message-7"}
    shown |= block.get("options", {})
    if "navigate" in block:
        shown["navigate"] = block["navigate"]
    if block.get("declarative") is True:
        message = {"web_push": 8030, "notification": shown, "app_badge": 3}
        if not options.is_declarative(message):
            return "not declarative"
    return options.type_error(shown)


def _type_error(webpush: Block) -> str | None:
    shown = {"title": "Ann", "tag": "message-7", **webpush.get("notification", {})}
    return options.type_error(shown)
