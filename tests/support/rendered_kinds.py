"""What each channel sends for a definition, and what the sandbox says to it."""

import email
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import Any

from hpack import Decoder

from models.kinds import patterns
from models.pushes import Notification, Shown
from notifier.channels.apns import payload as apns
from notifier.channels.email.payload import MailTemplate
from notifier.channels.fcm.payload import Renderer
from notifier.channels.webpush import payload as webpush
from sandbox.apple import apns_rules
from sandbox.browsers import options, rules
from sandbox.google import fcm_schema
from tests.support.notifications import make_notification, make_target

APP = "org.example.chat"
VALUES: patterns.Values = {
    "sender": "Ada",
    "sender.external_id": "user-1",
    "sender.avatar": "https://cdn.example.org/ada.png",
    "conversation": "Harbour",
    "conversation.external_id": "chat-3",
    "text": "Ship ahoy",
    "members": 3,
    "data.image": "ship.png",
}
MAILS = MailTemplate(Address("Harbour", addr_spec="chat@harbour.example"), None)
NOW = datetime(2025, 6, 15, 12, 30, tzinfo=UTC)
FCM = Renderer("unread.json", "example")
Json = dict[str, Any]


def filled(block: Any) -> Any:
    """The block with the values, and a plural with its form."""
    if isinstance(block, dict):
        block = {name: _form(value) for name, value in block.items()}
    return patterns.fill_block(block, VALUES, "default")


def _form(value: Any) -> Any:
    is_plural = isinstance(value, dict) and "count" in value
    return patterns.fill(value, VALUES, "default") if is_plural else value


def _notification(block: Mapping[str, Any]) -> Notification:
    shown = Shown(
        title="Ada", subtitle="Harbour", body="Ship ahoy", block=filled(block)
    )
    return make_notification(
        sender_id=1,
        sender_external_id="user-1",
        sender_avatar="https://cdn.example.org/ada.png",
        chat_external_id="chat-3",
        shown=shown,
    )


def to_apple(block: Mapping[str, Any]) -> tuple[dict[str, str], Json]:
    """Headers and payload, which the sandbox has checked."""
    rendered = apns.render(_notification(block))
    request = rendered.requests([make_target()])[0]
    fields = {
        "apns-push-type": rendered.push_type,
        "apns-priority": rendered.priority,
        "apns-topic": APP + rendered.topic_suffix,
        **dict(Decoder().decode(request.fields)),
    }
    apns_rules.check_headers(fields)
    apns_rules.check_topic(fields["apns-topic"], rendered.push_type, (APP,))
    apns_rules.check_size(request.body, fields["apns-topic"], rendered.push_type)
    apns_rules.check_payload(request.body, rendered.push_type, rendered.priority)
    return fields, json.loads(request.body)


def to_google(block: Mapping[str, Any]) -> Json:
    """The message, which the sandbox has checked."""
    body = FCM.render(_notification(block)).request(make_target(token="abc")).body
    message, _ = fcm_schema.read(body)
    return message


def to_browser(block: Mapping[str, Any]) -> tuple[dict[str, str], Json]:
    """Headers and text; the sandbox has checked that the browser shows it."""
    rendered = webpush.render(_notification(block))
    fields = dict(Decoder().decode(rendered.fields))
    fields["content-encoding"] = "aes128gcm"
    for manner in rules.MANNERS:
        rules.check(manner, fields, b"encrypted")
    text = json.loads(rendered.text(3))
    if block.get("declarative"):
        assert options.is_declarative(text)
        shown = text["notification"]
    else:
        shown = {"tag": text["tag"], **text.get("options", {})}
    assert options.type_error(shown) is None
    return fields, text


def to_mailbox(block: Mapping[str, Any]) -> dict[str, str]:
    """Subject and both bodies as the mail program reads them."""
    escapes = {"html": escape}
    own = {
        name: patterns.fill(text, VALUES, "default", escapes.get(name, str))
        for name, text in block.items()
    }
    raw = MAILS.write([_notification(own)], to="bob@example.org", device_id=1, now=NOW)
    mail = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(mail, EmailMessage)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return {
        "subject": mail["Subject"],
        "text": plain.get_content(),
        "html": html.get_content(),
    }
