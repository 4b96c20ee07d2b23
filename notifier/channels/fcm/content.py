"""What a message to FCM holds: the arguments of pyfcm's `parse_payload`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from models.pushes import MESSAGE, Notification, Shown
from notifier.channels import push_ids
from notifier.channels.about import Reference
from notifier.channels.fcm import iphone
from notifier.channels.template import Placeholder, clean, json_text
from notifier.channels.ttl import ttl_s

Content = dict[str, Any]

# What an app that draws for itself finds in the data. Only the service sets these.
DRAWN = ("title", "subtitle", "body")
SHOWN = "notification"


def text_of(notification: Notification) -> str:
    """The text that is cut if it is too long."""
    if not _is_shown(notification):
        return ""
    shown = notification.shown
    return clean(notification.text) if shown is None else shown.body


def content(
    notification: Notification, reference: Reference, badge: Placeholder, text: str
) -> Content:
    """The message for all devices; `text` is that of `text_of`, perhaps cut."""
    shown = notification.shown if notification.kind == MESSAGE else None
    if shown is not None:
        return _of_kind(notification, shown, reference, badge, text)
    if _is_shown(notification):
        return _notification(notification, reference, badge, text)
    found = _data_only(notification, reference, badge)
    if notification.definition is not None or notification.shown is not None:
        # Of a message that an iPhone shows as its kind says.
        found["apns_config"] = iphone.afterwards(notification, reference, badge)
    return found


def _is_shown(notification: Notification) -> bool:
    return notification.kind == MESSAGE and not notification.silent


def _notification(
    notification: Notification, reference: Reference, badge: Placeholder, text: str
) -> Content:
    """A notification that Android shows by itself, without a line for the subtitle.

    In a group the conversation is the title, as in Android's own style for messages. It
    has no collapse_key, which notifications ignore: the tag replaces an earlier try.
    """
    shown = notification.shown
    if shown is None:
        title, subtitle = map(clean, notification.heading)
    else:
        title, subtitle = shown.title, shown.subtitle
    if notification.is_group and subtitle:
        title, text = subtitle, ": ".join(part for part in (title, text) if part)
    texts = {"notification_title": title}
    if text:
        texts["notification_body"] = text
    drawer = {"tag": push_ids.tag(notification), "notification_count": badge.mark}
    return {
        **texts,
        "data_payload": _data(notification.data, json_text(reference)),
        "android_config": {
            "priority": "high",
            "ttl": f"{ttl_s(notification)}s",
            "notification": drawer,
        },
    }


def _data_only(
    notification: Notification, reference: Reference, badge: Placeholder
) -> Content:
    """Data for the app alone: the badge, and the tag of a notification to remove.

    It has no collapse_key, because FCM keeps at most four of them for an offline phone.
    """
    tagged = _tagged(notification, reference, badge)
    return {
        "data_payload": _data(notification.data, tagged),
        "android_config": {"priority": "normal", "ttl": f"{ttl_s(notification)}s"},
    }


def _of_kind(
    notification: Notification,
    shown: Shown,
    reference: Reference,
    badge: Placeholder,
    text: str,
) -> Content:
    """A message whose kind the app has defined."""
    block = shown.block
    if block.get("data_only"):
        # A member's data must not stand where the app looks for the title.
        data = {k: v for k, v in notification.data.items() if k not in DRAWN}
        notification = replace(notification, data=data)
    if notification.silent:
        found = _data_only(notification, reference, badge)
    elif block.get("data_only"):
        found = _for_drawing(notification, shown, reference, badge, text)
    else:
        found = _notification(notification, reference, badge, text)
    _add_android(found, block, is_silent=notification.silent)
    found["apns_config"] = iphone.config(notification, shown, reference, badge, text)
    found["webpush_config"] = _for_browsers(notification, block.get("webpush"))
    found["fcm_options"] = block.get("fcm_options")
    return found


def _for_drawing(
    notification: Notification,
    shown: Shown,
    reference: Reference,
    badge: Placeholder,
    text: str,
) -> Content:
    """All that an app needs to draw the notification for itself, at once."""
    texts = dict(zip(DRAWN, (shown.title, shown.subtitle, text), strict=True))
    data = notification.data | {name: text for name, text in texts.items() if text}
    return {
        "data_payload": _data(data, _tagged(notification, reference, badge)),
        "android_config": {"priority": "high", "ttl": f"{ttl_s(notification)}s"},
    }


def _add_android(found: Content, block: Mapping[str, Any], *, is_silent: bool) -> None:
    """Complete the message by the kind's fields for Android."""
    android = found["android_config"]
    own = dict(block.get("android", {}))
    own_notification = own.pop("notification", {})
    # FCM would put it in the place of all other data.
    reference = found["data_payload"].pop(push_ids.KEY)
    found["data_payload"] |= {**own.pop("data", {}), push_ids.KEY: reference}
    if is_silent:
        own.pop("priority", None)
    android |= own
    if "notification" not in android:
        return
    # A placeholder without a value leaves the built-in one.
    android["notification"] |= {k: v for k, v in own_notification.items() if v != ""}
    for part in ("title", "body"):
        if f"{part}_loc_key" in own_notification:
            # A phone would prefer the text.
            found.pop(f"notification_{part}", None)
    image = block.get("notification", {}).get("image")
    if image and found.keys() & {"notification_title", "notification_body"}:
        found["notification_image"] = image
    elif image:
        # pyfcm leaves out a notification without a text.
        android["notification"].setdefault("image", image)


def _for_browsers(
    notification: Notification, own: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """The block for browsers, which throw an error at some options together."""
    if own is None or SHOWN not in own:
        return own
    if notification.silent:
        return {name: value for name, value in own.items() if name != SHOWN}
    # With the tag, a repeated push replaces the first one.
    shown = {"tag": push_ids.tag(notification), **own[SHOWN]}
    if shown.get("renotify") and not shown["tag"]:
        shown["tag"] = push_ids.tag(notification)
    if shown.get("silent"):
        shown.pop("vibrate", None)
    return {**own, SHOWN: shown}


def _tagged(
    notification: Notification, reference: Reference, badge: Placeholder
) -> str:
    tagged = json_text({**reference, "tag": _tag(notification)})
    return f'{tagged[:-1]},"badge":{badge.mark}}}'


def _tag(notification: Notification) -> str:
    """The tag of what is shown, which a withdrawal removes."""
    block = {} if notification.shown is None else notification.shown.block
    own: str | None = block.get("android", {}).get("notification", {}).get("tag")
    return own or push_ids.tag(notification)


def _data(data: Mapping[str, str], reference: str) -> dict[str, str]:
    """FCM accepts only strings."""
    return {
        **{clean(k): clean(v) for k, v in data.items()},
        push_ids.KEY: reference,
    }
