"""The payload for a service worker: rendered once, completed for each device."""

from contextlib import suppress
from typing import NamedTuple

from models.pushes import MESSAGE, READ, Notification, Target
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

# Firefox for Android gets its pushes through another service, which adds to them.
SHORTER = 2744
# What takes the place of a deleted message, unless the app has words of its own.
DELETED = "Message deleted"
# Microsoft's service refuses a push that it shall not keep, unless this says so, too.
EDGE = ".notify.windows.com"
NO_CACHE = literal("x-wns-cache-policy", "no-cache")


class WebpushPayload(NamedTuple):
    """What all pushes of a job have in common."""

    # The payload around the badge.
    before: bytes
    after: bytes
    # The job's own header fields.
    fields: bytes
    ttl_s: int
    # The same with a shorter text, if it is longer than every service takes.
    shorter: "WebpushPayload | None" = None

    def request(self, target: Target, subscription: Subscription) -> Request:
        """The push to one device: 0.2 ms, nearly all of it for the fresh key."""
        payload = b"%b%d%b" % (self.before, target.badge, self.after)
        fields = self.fields
        if subscription.host.endswith(EDGE) and not self.ttl_s:
            fields += NO_CACHE
        return Request(
            encrypt(payload, subscription), subscription.path.encode(), fields
        )


def render(notification: Notification) -> WebpushPayload:
    """Raises ValueError when the notification does not fit into a push."""
    # Browsers show something for each push; they get the others from older versions.
    is_shown = notification.kind != READ and not notification.silent
    badge = Placeholder()
    seconds = ttl_s(notification)
    fields = _fields(notification, seconds, is_shown=is_shown)

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

    def within(limit: int, shorter: WebpushPayload | None) -> WebpushPayload:
        document = fit_with_badge(with_text, text, limit, badge)
        before, after = badge.split(document)
        return WebpushPayload(before, after, fields, seconds, shorter)

    text = _text(notification) if is_shown else ""
    shorter = None
    if len(with_text(text)) > SHORTER:
        with suppress(ValueError):
            shorter = within(SHORTER, None)
    return within(MAX_PLAINTEXT, shorter)


def _text(notification: Notification) -> str:
    return clean(notification.text) if notification.kind == MESSAGE else DELETED


def _fields(notification: Notification, seconds: int, *, is_shown: bool) -> bytes:
    # "low" wakes no idle phone, and "normal" none whose battery is low (RFC 8030 §5.3).
    urgency = "high" if is_shown else "low"
    if is_shown and notification.kind != MESSAGE:
        urgency = "normal"
    return (
        literal("ttl", str(seconds))
        + literal("urgency", urgency)
        # A later try replaces the one that still waits for the browser.
        + literal("topic", push_ids.topic(notification))
    )
