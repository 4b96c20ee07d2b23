"""The very request of each platform for a sample message.

The channels make it, on a client that keeps requests in place of sending them.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.headerregistry import Address
from typing import Any, NamedTuple, cast

from config import Settings, smtp
from models import kinds as rules
from models.base import utc_now
from models.previews import Preview
from models.pushes import Notification, Target
from notifier.channels import catalogue
from notifier.engine import redact, variants
from notifier.http2 import Client
from notifier.preview import sample, seen
from notifier.preview.recorder import (
    HIDDEN,
    HiddenToken,
    NoTroubles,
    RecordingClient,
    preview,
)
from notifier.preview.sample import SampleMessage

PLATFORMS = ("apns", "fcm", "webpush", "email")
# What stands where the settings name nothing.
TOPIC, PROJECT = "com.example.chat", "example-project"
SENDER = Address("Bottlepost", addr_spec="chat@example.org")
SERVICE = "https://updates.push.services.mozilla.com"
TOKENS = {
    "apns": "00" * 32,
    "fcm": "fcm-token",
    "webpush": "subscription",
    "email": "ada@example.org",
}


class Wanted(NamedTuple):
    """What a preview is of."""

    # Without a definition, the usual one has the built-in look.
    kind: str = rules.OF_MESSAGES
    locale: str | None = None
    is_mentioned: bool = False
    platforms: tuple[str, ...] = PLATFORMS
    message: SampleMessage = SampleMessage()


def of_text(text: str) -> Wanted:
    """The usual sample with another text, if there is one."""
    return Wanted(message=SampleMessage(message=text)) if text else Wanted()


def previews(
    settings: Settings, kinds: Mapping[str, dict[str, Any]], wanted: Wanted
) -> list[Preview]:
    """The request of each platform; raises Invalid for changes that are not valid."""
    catalogue.use(settings.catalogue_dir)
    changes = wanted.message.notification
    if changes is not None:
        rules.check_changes(kinds.get(wanted.kind), changes)
    made = sample.notification(wanted.message, dict(kinds), wanted.kind)
    shown = redact.redact(made, settings.push_preview)
    return [_preview(settings, shown, wanted, each) for each in wanted.platforms]


def _preview(
    settings: Settings, notification: Notification, wanted: Wanted, platform: str
) -> Preview:
    target = Target(
        user_id=1,
        device_id=1,
        platform=platform,
        token=TOKENS[platform],
        app=None,
        environment="production",
        registered_at=utc_now(),
        badge=wanted.message.badge,
        locale=wanted.locale,
    )
    mentions = frozenset({target.user_id}) if wanted.is_mentioned else frozenset()
    notification = replace(notification, mentions=mentions)
    resolved = variants.resolve(
        notification, platform, target.locale, is_mentioned=wanted.is_mentioned
    )
    try:
        return _DRAWERS[platform](settings, resolved, target)
    except ValueError as problem:
        return Preview(platform, problem=str(problem))


def _apns(settings: Settings, notification: Notification, target: Target) -> Preview:
    from notifier.channels.apns import PRODUCTION, Apns  # noqa: PLC0415

    recorder = RecordingClient("apns", settings.apns_url)
    channel = Apns(
        {PRODUCTION: cast(Client, recorder)},
        HiddenToken(),
        topic=settings.apns_topic or TOPIC,
        troubles=NoTroubles(),
    )
    made, body = _record(channel, recorder, notification, target)
    return made._replace(
        body=body.decode(), seen=seen.by_iphone(dict(made.headers), body)
    )


def _fcm(settings: Settings, notification: Notification, target: Target) -> Preview:
    from notifier.channels.fcm import Fcm, credentials  # noqa: PLC0415
    from notifier.channels.fcm.payload import Renderer  # noqa: PLC0415
    from notifier.channels.fcm.quota import Quota  # noqa: PLC0415

    path, project = settings.fcm_credentials_file, PROJECT
    if path is not None:
        project = credentials.read(path).project_id
    recorder = RecordingClient("fcm", settings.fcm_url)
    channel = Fcm(
        cast(Client, recorder),
        HiddenToken(),
        # The file is only read to send.
        Renderer(str(path or "none"), project),
        project_id=project,
        troubles=NoTroubles(),
        quota=Quota(1.0),
    )
    made, body = _record(channel, recorder, notification, target)
    return made._replace(
        body=body.decode(),
        seen=seen.by_android(body),
        seen_by_iphone=seen.by_iphone_behind_fcm(body),
    )


def _record(
    channel: Any, recorder: RecordingClient, notification: Notification, target: Target
) -> tuple[Preview, bytes]:
    rendered = channel.render(notification)
    asyncio.run(channel.send(rendered, [target], lambda targets, outcome: None))
    return recorder.recorded[0]


def _webpush(settings: Settings, notification: Notification, target: Target) -> Preview:
    """The text before it is encrypted for one browser, and the fields around it."""
    from notifier.channels.webpush import head_of, payload  # noqa: PLC0415

    if notification.silent:
        raise ValueError("a silent message is not pushed to browsers")
    rendered = payload.render(notification)
    head = head_of(f"vapid t={HIDDEN}, k={HIDDEN}")
    url = f"{SERVICE}/wpush/v2/{HIDDEN}"
    made = preview("webpush", url, head, rendered.fields)
    body = rendered.text(target.badge)
    return made._replace(body=body.decode(), seen=seen.by_browser(body))


def _email(settings: Settings, notification: Notification, target: Target) -> Preview:
    from notifier.channels.email.payload import MailTemplate  # noqa: PLC0415

    sender = smtp.sender(settings.smtp_from) if settings.smtp_from else SENDER
    template = MailTemplate(sender, settings.smtp_unsubscribe)
    if notification.silent:
        raise ValueError("a silent message is not mailed")
    body = template.write(
        [notification],
        to=target.token,
        device_id=target.device_id,
        now=utc_now(),
        locale=target.locale,
    )
    made = Preview("email", "SMTP", f"mailto:{target.token}")
    return made._replace(body=body.decode(), seen=seen.by_mail_program(body))


_DRAWERS: Mapping[str, Callable[[Settings, Notification, Target], Preview]] = {
    "apns": _apns,
    "fcm": _fcm,
    "webpush": _webpush,
    "email": _email,
}
