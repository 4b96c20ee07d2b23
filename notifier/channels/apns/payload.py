"""The payload for APNs: rendered once, completed for each device."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from models.pushes import READ, WITHDRAW, Notification, Target
from notifier.channels import push_ids
from notifier.channels.apns.library import (
    MAX_PAYLOAD_SIZE,
    NotificationPriority,
    NotificationType,
    Payload,
    PayloadAlert,
)
from notifier.channels.template import (
    Placeholder,
    clean,
    fit_with_badge,
    json_bytes,
)
from notifier.http2 import Request, literal

RESERVED_KEYS = frozenset({"aps", push_ids.KEY})

Custom = Mapping[str, object]


# Not by Request's constructor, which takes twice as long.
_new_request: Callable[[tuple[bytes, bytes, bytes]], Request] = partial(
    tuple.__new__, Request
)


class ApnsPayload(NamedTuple):
    """The parts that all pushes of a job share."""

    # The payload around the badge.
    before: bytes
    after: bytes
    # The job's header fields and the beginning of each push's apns-id.
    fields: bytes
    push_type: str
    priority: str

    def requests(self, targets: Sequence[Target]) -> list[Request]:
        """The pushes to these devices; on the hot path."""
        before, after, fields, *_ = self
        bodies: dict[int, bytes] = {}
        found: list[Request] = []
        for target in targets:
            badge = target.badge
            body = bodies.get(badge)
            if body is None:
                body = bodies[badge] = b"%b%d%b" % (before, badge, after)
            token = target.token.encode()
            # Nearly all tokens are hexadecimal digits, which need no quoting.
            if not token.isalnum():
                token = quote(token, "").encode()
            own = fields + push_ids.uuid_suffix(target.device_id)
            found.append(_new_request((body, b"/3/device/" + token, own)))
        return found


def render(notification: Notification) -> ApnsPayload:
    """Raises ValueError when the notification does not fit into a push."""
    if reserved := RESERVED_KEYS & notification.data.keys():
        raise ValueError(f"the data key {min(reserved)!r} is reserved with APNs")
    custom: dict[str, object] = {
        clean(k): clean(v) for k, v in notification.data.items()
    }
    badge = Placeholder()
    kind, priority = NotificationType.Alert, NotificationPriority.Immediate
    if notification.kind == READ:
        # Apple counts a badge as an alert, but this one can wait.
        priority = NotificationPriority.Delayed
        document = _read(notification, custom, badge)
    elif notification.silent or notification.kind == WITHDRAW:
        # Apple refuses background pushes with immediate priority.
        kind, priority = NotificationType.Background, NotificationPriority.Delayed
        document = _background(notification, custom, badge)
    else:
        document = _alert(notification, custom, badge)
    before, after = badge.split(document)
    return ApnsPayload(before, after, _fields(notification), kind.value, priority.value)


def _alert(notification: Notification, custom: Custom, badge: Placeholder) -> bytes:
    def with_text(text: str) -> bytes:
        alert = PayloadAlert(
            title=clean(notification.sender_name),
            subtitle=clean(notification.chat_name),
            body=text,
        )
        payload = Payload(
            alert=alert,
            badge=badge.mark,
            sound="default",
            custom={**custom, push_ids.KEY: push_ids.reference(notification)},
            thread_id=f"chat-{notification.chat_id}",
        )
        return json_bytes(payload.dict())

    return _fit(with_text, clean(notification.text), badge)


def _background(
    notification: Notification, custom: Custom, badge: Placeholder
) -> bytes:
    """A background push may show nothing, so the app gets the badge as data."""
    reference = {**push_ids.reference(notification), "badge": badge.mark}
    custom = {**custom, push_ids.KEY: reference}
    payload = Payload(content_available=True, custom=custom)
    return _fit(lambda text: json_bytes(payload.dict()), "", badge)


def _read(notification: Notification, custom: Custom, badge: Placeholder) -> bytes:
    custom = {**custom, push_ids.KEY: push_ids.reference(notification)}
    payload = Payload(badge=badge.mark, custom=custom)
    return _fit(lambda text: json_bytes(payload.dict()), "", badge)


def _fit(render: Callable[[str], bytes], text: str, badge: Placeholder) -> bytes:
    return fit_with_badge(render, text, MAX_PAYLOAD_SIZE, badge)


def _fields(notification: Notification) -> bytes:
    """The job's header fields; the device's digits complete the last one."""
    expires_at = max(int(notification.expires_at.timestamp()), 0)
    # literal() does not compress, so the end of a value can be replaced by another of
    # the same length.
    apns_id = literal("apns-id", push_ids.uuid_prefix(notification) + "0" * 12)[:-12]
    return (
        literal("apns-collapse-id", push_ids.tag(notification))
        + literal("apns-expiration", str(expires_at))
        + apns_id
    )
