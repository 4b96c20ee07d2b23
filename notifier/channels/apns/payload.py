"""The payload for APNs: rendered once, completed for each device."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from models.apns_push_types import RAW_TYPES, RELOADS
from models.pushes import MESSAGE, READ, WITHDRAW, Notification, Shown, Target
from notifier.channels import aps, push_ids
from notifier.channels.about import Reference, fit_about
from notifier.channels.apns.headers import Headers
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
    json_bytes,
    limit_with_badge,
)
from notifier.http2 import Request, literal

RESERVED_KEYS = frozenset({"aps", push_ids.KEY})
MAX_VOIP_SIZE = 5120

Custom = Mapping[str, object]
# Renders a document, given the reference to the message and the text.
Render = Callable[[Reference, str], dict[str, Any]]


# Not by Request's constructor, which takes twice as long.
_new_request: Callable[[tuple[bytes, bytes, bytes]], Request] = partial(
    tuple.__new__, Request
)


class ApnsPayload(NamedTuple):
    """The parts that all pushes of a job share."""

    # The payload around the badge.
    pieces: tuple[bytes, ...]
    # The job's header fields and the beginning of each push's apns-id.
    fields: bytes
    push_type: str
    priority: str
    # What the push type adds to the app's topic.
    topic_suffix: str = ""

    def requests(self, targets: Sequence[Target]) -> list[Request]:
        """The pushes to these devices; on the hot path."""
        pieces, fields, *_ = self
        bodies: dict[int, bytes] = {}
        found: list[Request] = []
        for target in targets:
            badge = target.badge
            body = bodies.get(badge)
            if body is None:
                body = bodies[badge] = (b"%d" % badge).join(pieces)
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
    shown = notification.shown if notification.kind == MESSAGE else None
    block = {} if shown is None else shown.block
    headers = Headers.read(block.get("headers", {}), notification)
    custom: dict[str, object] = {
        clean(k): clean(v) for k, v in notification.data.items()
    }
    # A member's data never takes the place of what the service has set.
    for name, value in block.get("payload", {}).items():
        if name not in RESERVED_KEYS:
            custom[name] = value
    if headers.push_type in RAW_TYPES:
        return _raw(notification, headers, block, custom)
    badge = Placeholder()
    kind, priority = NotificationType.Alert, NotificationPriority.Immediate
    if notification.kind == READ:
        # Apple counts a badge as an alert, but this one can wait.
        priority = NotificationPriority.Delayed
        document = _read(notification, custom, badge)
    elif (
        notification.silent
        or notification.kind == WITHDRAW
        or headers.push_type == NotificationType.Background
    ):
        # Apple refuses background pushes with immediate priority.
        kind, priority = NotificationType.Background, NotificationPriority.Delayed
        document = _background(notification, block.get("aps", {}), custom, badge)
        headers = headers._replace(priority=None)
    else:
        document = _alert(notification, shown, custom, badge)
    return ApnsPayload(
        badge.pieces(document),
        _fields(notification, headers),
        kind.value,
        headers.priority or priority.value,
        headers.topic_suffix,
    )


def _alert(
    notification: Notification,
    shown: Shown | None,
    custom: Custom,
    badge: Placeholder,
) -> bytes:
    if shown is None:
        own: aps.Aps = {}
        title, subtitle = map(clean, notification.heading)
        body = clean(notification.text)
    else:
        own = shown.block.get("aps", {})
        title, subtitle = shown.title, shown.subtitle
        body = clean(aps.body_of(shown, own))

    def render(reference: Reference, text: str) -> dict[str, Any]:
        payload = Payload(
            alert=PayloadAlert(title=title, subtitle=subtitle, body=text),
            badge=badge.mark,
            sound="default",
            custom={**custom, push_ids.KEY: reference},
            thread_id=push_ids.thread(notification),
        )
        document: dict[str, Any] = payload.dict()
        if own:
            document["aps"] = aps.with_own(document["aps"], own, text)
        return document

    return _fit(notification, render, body, badge)


def _background(
    notification: Notification, own: aps.Aps, custom: Custom, badge: Placeholder
) -> bytes:
    """A background push may show nothing, so the app gets the badge as data."""

    def render(reference: Reference, text: str) -> dict[str, Any]:
        with_badge = {**reference, "badge": badge.mark}
        document: dict[str, Any] = Payload(
            content_available=True, custom={**custom, push_ids.KEY: with_badge}
        ).dict()
        if own:
            document["aps"] = aps.background(own)
        return document

    return _fit(notification, render, "", badge)


def _read(notification: Notification, custom: Custom, badge: Placeholder) -> bytes:
    def render(reference: Reference, text: str) -> dict[str, Any]:
        own = {**custom, push_ids.KEY: reference}
        document: dict[str, Any] = Payload(badge=badge.mark, custom=own).dict()
        return document

    return _fit(notification, render, "", badge)


def _raw(
    notification: Notification,
    headers: Headers,
    block: Mapping[str, Any],
    custom: Custom,
) -> ApnsPayload:
    """A push that the system or the app reads as the kind has it."""
    push_type = headers.push_type or ""

    def render(reference: Reference, text: str) -> dict[str, Any]:
        if push_type == "mdm":
            return dict(block.get("payload", {}))
        keys = {"aps": aps.raw(block.get("aps", {}), push_type, notification)}
        if push_type in RELOADS:
            return keys
        return {**keys, **custom, push_ids.KEY: reference}

    limit = MAX_VOIP_SIZE if push_type == "voip" else MAX_PAYLOAD_SIZE
    return ApnsPayload(
        (_fit(notification, render, "", None, limit),),
        _fields(notification, headers),
        push_type,
        headers.priority or NotificationPriority.Immediate.value,
        headers.topic_suffix,
    )


def _fit(
    notification: Notification,
    render: Render,
    text: str,
    badge: Placeholder | None,
    limit: int = MAX_PAYLOAD_SIZE,
) -> bytes:
    return fit_about(
        lambda reference, text: json_bytes(render(reference, text)),
        push_ids.references(notification),
        text,
        limit if badge is None else limit_with_badge(limit, badge),
    )


def _fields(notification: Notification, headers: Headers) -> bytes:
    """The job's header fields; the device's digits complete the last one."""
    # literal() does not compress, so the end of a value can be replaced by another of
    # the same length.
    apns_id = literal("apns-id", push_ids.uuid_prefix(notification) + "0" * 12)[:-12]
    return (
        literal("apns-collapse-id", headers.collapse_id)
        + literal("apns-expiration", str(headers.expiration))
        + apns_id
    )
