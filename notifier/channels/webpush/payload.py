"""The payload for a service worker: rendered once, completed for each device."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from models.pushes import MESSAGE, READ, Notification, Shown, Target
from models.subscriptions import Subscription
from notifier.channels import catalogue, push_ids
from notifier.channels.about import Reference, fit_about
from notifier.channels.template import (
    Placeholder,
    clean,
    json_bytes,
    limit_with_badge,
)
from notifier.channels.ttl import ttl_s
from notifier.channels.webpush import declarative
from notifier.channels.webpush.declarative import Options
from notifier.channels.webpush.encryption import MAX_PLAINTEXT, encrypt
from notifier.http2 import Request, literal

# Firefox for Android gets its pushes through another service, which adds to them.
SHORTER = 2744
# Microsoft's service refuses a push that it shall not keep, unless this says so, too.
EDGE = ".notify.windows.com"
NO_CACHE = literal("x-wns-cache-policy", "no-cache")
# Options of a notification that one without a sound cannot have, or does not need.
LOUD = ("vibrate", "renotify", "actions", "body")
# What stays of the options when there is room for no more.
NEEDED = ("title", "body", "tag", "navigate", "silent")


class WebpushPayload(NamedTuple):
    """What all pushes of a job have in common."""

    # The payload around the badge.
    pieces: tuple[bytes, ...]
    # The job's own header fields.
    fields: bytes
    ttl_s: int
    # The same with a shorter text, if it is longer than every service takes.
    shorter: "WebpushPayload | None" = None

    def text(self, badge: int) -> bytes:
        """What the browser reads."""
        return (b"%d" % badge).join(self.pieces)

    def request(self, target: Target, subscription: Subscription) -> Request:
        """The push to one device: 0.2 ms, nearly all of it for the fresh key."""
        fields = self.fields
        if subscription.host.endswith(EDGE) and not self.ttl_s:
            fields += NO_CACHE
        return Request(
            encrypt(self.text(target.badge), subscription),
            subscription.path.encode(),
            fields,
        )


def render(notification: Notification) -> WebpushPayload:
    """Raises ValueError when the notification does not fit into a push."""
    # Browsers show something for each push; they get the others from older versions.
    is_shown = notification.kind != READ and not notification.silent
    badge = Placeholder()
    seconds = ttl_s(notification)
    shown, options = _shown(notification)
    fields = _fields(notification, shown, seconds, is_shown=is_shown)

    def with_text(options: Options, reference: Reference, text: str) -> bytes:
        if not is_shown:
            return json_bytes(_quiet(notification, reference, badge))
        texts = _texts(notification, shown, options, text)
        if declarative.is_declarative(shown, options):
            document = declarative.document(
                notification, texts, options, reference, badge.mark
            )
        else:
            document = _ordinary(notification, texts, options, reference, badge)
        return json_bytes(document)

    def within(limit: int, shorter: WebpushPayload | None) -> WebpushPayload:
        try:
            whole = partial(with_text, options)
            document = fit_about(whole, references, text, limit + room)
        except ValueError:
            needed = {k: v for k, v in options.items() if k in NEEDED}
            bare = partial(with_text, needed)
            document = fit_about(bare, references, text, limit + room)
        return WebpushPayload(badge.pieces(document), fields, seconds, shorter)

    references = push_ids.references(notification)
    badges = with_text(options, references[-1], "").count(badge.mark.encode())
    room = badges * limit_with_badge(0, badge)
    text = clean(shown.body) if is_shown else ""
    shorter = None
    if len(with_text(options, references[0], text)) > SHORTER:
        with suppress(ValueError):
            shorter = within(SHORTER, None)
    return within(MAX_PLAINTEXT, shorter)


def _shown(notification: Notification) -> tuple[Shown, Options]:
    """The texts and the options of the kind, or of a notification without one."""
    shown = notification.shown
    if shown is None:
        title, subtitle = notification.heading
        shown = Shown(title=title, subtitle=subtitle, body=notification.text)
    options = declarative.options_of(shown)
    shown = replace(shown, body=options.get("body", shown.body))
    if notification.kind != MESSAGE:
        # It takes the place of the message, without a sound.
        deleted = catalogue.text("message_deleted", notification.locale)
        shown = replace(shown, body=deleted)
        kept = {name: each for name, each in options.items() if name not in LOUD}
        options = {**kept, "silent": True} if notification.shown else {}
    return shown, options


def _texts(
    notification: Notification, shown: Shown, options: Options, text: str
) -> dict[str, str]:
    return {
        "title": clean(options.get("title", shown.title)),
        "chat": clean(shown.subtitle),
        "body": text,
        "tag": clean(options.get("tag", push_ids.tag(notification))),
    }


def _ordinary(
    notification: Notification,
    texts: dict[str, str],
    options: Options,
    reference: Reference,
    badge: Placeholder,
) -> dict[str, Any]:
    """What only a service worker understands."""
    tag = {"tag": texts["tag"]}
    shown = {name: text for name, text in texts.items() if name != "tag"}
    own = declarative.without_texts(options)
    return {
        **shown,
        "silent": False,
        **tag,
        **_about(notification, reference, badge),
        **({"options": own} if own else {}),
    }


def _quiet(
    notification: Notification, reference: Reference, badge: Placeholder
) -> dict[str, Any]:
    tag = push_ids.tag(notification)
    return {"silent": True, "tag": tag, **_about(notification, reference, badge)}


def _about(
    notification: Notification, reference: Reference, badge: Placeholder
) -> dict[str, Any]:
    return {
        "badge": badge.mark,
        "data": {clean(key): clean(value) for key, value in notification.data.items()},
        push_ids.KEY: reference,
    }


def _fields(
    notification: Notification, shown: Shown, seconds: int, *, is_shown: bool
) -> bytes:
    # "low" wakes no idle phone, and "normal" none whose battery is low (RFC 8030 §5.3).
    urgency = "high" if is_shown else "low"
    if is_shown and notification.kind != MESSAGE:
        urgency = "normal"
    elif is_shown:
        urgency = shown.block.get("urgency", urgency)
    return (
        literal("ttl", str(seconds))
        + literal("urgency", urgency)
        # A later try replaces the one that still waits for the browser.
        + literal("topic", shown.block.get("topic", push_ids.topic(notification)))
    )
