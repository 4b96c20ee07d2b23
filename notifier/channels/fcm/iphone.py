"""The block `apns` of a message, for iPhones that are registered with FCM.

FCM hands it to Apple as it is, beside the data of the message.
"""

from typing import Any

from models.apns_push_types import RAW_TYPES
from models.pushes import READ, Notification, Shown
from notifier.channels import aps, push_ids
from notifier.channels.about import Reference
from notifier.channels.template import Placeholder
from notifier.channels.ttl import expires_at_s

BACKGROUND = "background"
# Apple refuses background pushes with immediate priority.
UNSEEN = {"apns-priority": "5", "apns-push-type": BACKGROUND}


def config(
    notification: Notification,
    shown: Shown,
    reference: Reference,
    badge: Placeholder,
    text: str,
) -> dict[str, Any]:
    """What a push straight to APNs would have, and the kind's own fields."""
    own = shown.block.get("apns", {})
    payload = own.get("payload", {})
    headers = {**_headers(notification), **own.get("headers", {})}
    wanted = headers["apns-collapse-id"]
    headers["apns-collapse-id"] = push_ids.collapse_id(wanted, notification)
    push_type = headers.get("apns-push-type")
    if "live_activity_token" in own:
        push_type = "liveactivity"
    mine = payload.get("aps", {})
    if push_type in RAW_TYPES:
        keys = aps.raw(mine, push_type, notification)
    elif notification.silent or push_type == BACKGROUND:
        headers |= UNSEEN
        keys = aps.background(mine)
        # As straight to APNs: the badge cannot be shown here.
        reference = {**reference, "badge": badge.mark}
    else:
        keys = _alert(notification, shown, mine, badge, text)
    return {
        **own,
        "headers": headers,
        "payload": {**payload, "aps": keys, push_ids.KEY: reference},
    }


def afterwards(
    notification: Notification, reference: Reference, badge: Placeholder
) -> dict[str, Any]:
    """A read mark sets the badge; a withdrawal wakes the app, which removes it."""
    if notification.kind == READ:
        unseen = {"apns-priority": UNSEEN["apns-priority"]}
        keys: dict[str, Any] = {"badge": badge.mark}
    else:
        unseen, keys = UNSEEN, aps.background({})
        reference = {**reference, "badge": badge.mark}
    return {
        "headers": {**_headers(notification), **unseen},
        "payload": {"aps": keys, push_ids.KEY: reference},
    }


def _headers(notification: Notification) -> dict[str, str]:
    return {
        "apns-collapse-id": push_ids.tag(notification),
        "apns-expiration": str(expires_at_s(notification)),
        "apns-priority": "10",
    }


def _alert(
    notification: Notification,
    shown: Shown,
    own: aps.Aps,
    badge: Placeholder,
    text: str,
) -> dict[str, Any]:
    texts = {"title": shown.title, "subtitle": shown.subtitle, "body": text}
    keys = {
        "alert": {name: value for name, value in texts.items() if value},
        "badge": badge.mark,
        "sound": "default",
        "thread-id": push_ids.thread(notification),
    }
    # A text of this block alone is not the one that was cut.
    theirs = aps.body_of(shown, own)
    return aps.with_own(keys, own, text if theirs == shown.body else theirs)
