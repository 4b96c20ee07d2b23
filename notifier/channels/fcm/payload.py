"""A message as FCM wants it: rendered once, completed for each device."""

import json
from typing import Any, NamedTuple

from pyfcm import FCMNotification

from models.base import utc_now
from models.pushes import MESSAGE, Notification, Target
from notifier.channels import push_ids
from notifier.channels.template import Placeholder, clean, fit, json_string
from notifier.http2 import Request

MAX_PAYLOAD_SIZE = 4096
# Whether the token counts is not said anywhere, so we leave room for it and the badge.
TOKEN_ROOM = 300
MAX_TTL_S = 2_419_200
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
    """pyfcm's payloads; of pyfcm nothing else runs, least of all its sessions."""

    def __init__(self, credentials_file: str, project_id: str) -> None:
        # It reads the file only when it is to send by itself, which it never is.
        self._pyfcm = FCMNotification(
            service_account_file=credentials_file, project_id=project_id
        )

    def render(self, notification: Notification) -> FcmPayload:
        """Raises ValueError when no push can be made of this note."""
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
    """What Android shows by itself.

    No collapse_key: notifications ignore it. What replaces an earlier try is the tag.
    """
    shown = {"tag": push_ids.tag(notification), "notification_count": badge.mark}
    return {
        "data_payload": _data(notification, _json(push_ids.reference(notification))),
        "android_config": {
            "priority": "high",
            "ttl": _ttl(notification),
            "notification": shown,
        },
    }


def _data_only(notification: Notification, badge: Placeholder) -> Content:
    """What is for the app alone; it is told the badge, and the tag it may cancel.

    No collapse_key: a phone that is away would get no more than four of them.
    """
    told = _json(
        {**push_ids.reference(notification), "tag": push_ids.tag(notification)}
    )
    with_badge = f'{told[:-1]},"badge":{badge.mark}}}'
    return {
        "data_payload": _data(notification, with_badge),
        "android_config": {"priority": "normal", "ttl": _ttl(notification)},
    }


def _data(notification: Notification, told: str) -> dict[str, str]:
    """FCM takes strings only."""
    data = {clean(k): clean(v) for k, v in notification.data.items()}
    return {**data, push_ids.KEY: told}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _ttl(notification: Notification) -> str:
    left_s = int((notification.expires_at - utc_now()).total_seconds())
    return f"{min(max(left_s, 0), MAX_TTL_S)}s"
