"""The payload for FCM: rendered once, completed for each device."""

import json
from typing import Any, NamedTuple

from pyfcm import FCMNotification

from models.pushes import MESSAGE, Notification, Target
from notifier.channels import push_ids
from notifier.channels.template import Placeholder, clean, fit, json_string
from notifier.channels.ttl import ttl_s
from notifier.http2 import Request

MAX_PAYLOAD_SIZE = 4096
# No document says whether the token counts, so space is reserved for it and the badge.
TOKEN_ROOM = 300
RESERVED_KEYS = frozenset({"from", "message_type", push_ids.KEY})
RESERVED_BEGINNINGS = ("google", "gcm")

# Arguments of pyfcm's parse_payload.
Content = dict[str, Any]


class FcmPayload(NamedTuple):
    """The message around the badge and the token of a device."""

    before: bytes
    between: bytes
    after: bytes

    def request(self, target: Target) -> Request:
        """The push to one device; on the hot path."""
        token = json_string(target.token).encode()
        return Request(
            b"%b%d%b%b%b" % (self.before, target.badge, self.between, token, self.after)
        )


class Renderer:
    """Renders with pyfcm; the rest of pyfcm, such as its sessions, is not used."""

    def __init__(self, credentials_file: str, project_id: str) -> None:
        # pyfcm reads the file only when it sends, which it never does here.
        self._pyfcm = FCMNotification(
            service_account_file=credentials_file, project_id=project_id
        )

    def render(self, notification: Notification) -> FcmPayload:
        """Raises ValueError when the notification does not fit into a push."""
        _check_keys(notification)
        is_shown = notification.kind == MESSAGE and not notification.silent
        # pyfcm sorts the keys, so the badge is always found before the token.
        badge, token = Placeholder(), Placeholder()
        content = (
            _notification(notification, badge)
            if is_shown
            else _data_only(notification, badge)
        )

        def with_text(text: str) -> bytes:
            shown = (
                {"notification_title": clean(notification.sender_name)}
                if is_shown
                else {}
            )
            if text:
                shown["notification_body"] = text
            document: bytes = self._pyfcm.parse_payload(
                fcm_token=token.mark, **content, **shown
            )
            return document

        limit = MAX_PAYLOAD_SIZE - TOKEN_ROOM + len(token.mark) + len(badge.mark)
        document = fit(with_text, clean(notification.text) if is_shown else "", limit)
        start, after = token.split(document)
        before, between = badge.split(start)
        return FcmPayload(before, between, after)


def _check_keys(notification: Notification) -> None:
    for key in notification.data:
        if key in RESERVED_KEYS or key.startswith(RESERVED_BEGINNINGS):
            raise ValueError(f"the data key {key!r} is reserved with FCM")


def _notification(notification: Notification, badge: Placeholder) -> Content:
    """A notification that Android shows by itself.

    It has no collapse_key, which notifications ignore: the tag replaces an earlier try.
    """
    shown = {"tag": push_ids.tag(notification), "notification_count": badge.mark}
    return {
        "data_payload": _data(notification, _json(push_ids.reference(notification))),
        "android_config": {
            "priority": "high",
            "ttl": f"{ttl_s(notification)}s",
            "notification": shown,
        },
    }


def _data_only(notification: Notification, badge: Placeholder) -> Content:
    """Data for the app alone: the badge, and the tag of a notification to remove.

    It has no collapse_key, because FCM keeps at most four of them for an offline phone.
    """
    reference = _json(
        {**push_ids.reference(notification), "tag": push_ids.tag(notification)}
    )
    with_badge = f'{reference[:-1]},"badge":{badge.mark}}}'
    return {
        "data_payload": _data(notification, with_badge),
        "android_config": {"priority": "normal", "ttl": f"{ttl_s(notification)}s"},
    }


def _data(notification: Notification, reference: str) -> dict[str, str]:
    """FCM accepts only strings."""
    data = {clean(k): clean(v) for k, v in notification.data.items()}
    return {**data, push_ids.KEY: reference}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
