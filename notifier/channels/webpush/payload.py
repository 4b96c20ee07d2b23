"""The payload for a service worker: rendered once, completed for each device."""

from typing import NamedTuple

from models.pushes import MESSAGE, Notification, Target
from models.subscriptions import Subscription
from notifier.channels import push_ids
from notifier.channels.template import (
    Placeholder,
    clean,
    fit_with_badge,
    json_bytes,
)
from notifier.channels.ttl import ttl_s
from notifier.channels.webpush.encryption import MAX_PLAINTEXT, encrypt
from notifier.http2 import Request, literal


class WebpushPayload(NamedTuple):
    """What all pushes of a job have in common."""

    # The payload around the badge.
    before: bytes
    after: bytes
    # The job's own header fields.
    fields: bytes

    def request(self, target: Target, subscription: Subscription) -> Request:
        """The push to one device: 0.2 ms, nearly all of it for the fresh key."""
        payload = b"%b%d%b" % (self.before, target.badge, self.after)
        return Request(
            encrypt(payload, subscription), subscription.path.encode(), self.fields
        )


def render(notification: Notification) -> WebpushPayload:
    """Raises ValueError when the notification does not fit into a push."""
    is_shown = notification.kind == MESSAGE and not notification.silent
    badge = Placeholder()

    def with_text(text: str) -> bytes:
        shown = {
            "title": clean(notification.sender_name),
            "chat": clean(notification.chat_name),
            "body": text,
        }
        common = {
            "silent": not is_shown,
            "tag": push_ids.tag(notification),
            "badge": badge.mark,
            "data": {
                clean(key): clean(value) for key, value in notification.data.items()
            },
            push_ids.KEY: push_ids.reference(notification),
        }
        return json_bytes(shown | common if is_shown else common)

    text = clean(notification.text) if is_shown else ""
    document = fit_with_badge(with_text, text, MAX_PLAINTEXT, badge)
    before, after = badge.split(document)
    return WebpushPayload(before, after, _fields(notification, is_shown=is_shown))


def _fields(notification: Notification, *, is_shown: bool) -> bytes:
    # RFC 8030 §5.3: "normal" is for chat messages, "low" wakes no idle phone.
    urgency = "normal" if is_shown else "low"
    return (
        literal("ttl", str(ttl_s(notification)))
        + literal("urgency", urgency)
        # A later try replaces the one that still waits for the browser.
        + literal("topic", push_ids.tag(notification))
    )
