"""What a phone, a browser or a mail program shows of a request."""

import email
import json
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from models.previews import Seen

BY_THE_APP = "Nothing is shown by the system: the app gets the data and may draw it."


def by_iphone(headers: Mapping[str, str], body: bytes) -> Seen:
    return _by_iphone(headers, json.loads(body))


def by_iphone_behind_fcm(body: bytes) -> Seen | None:
    """None if the message has nothing for iPhones."""
    block = json.loads(body).get("message", {}).get("apns")
    if block is None:
        return None
    return _by_iphone(block.get("headers", {}), block.get("payload", {}))


def _by_iphone(headers: Mapping[str, str], payload: Mapping[str, Any]) -> Seen:
    push_type = headers.get("apns-push-type", "alert")
    aps = payload.get("aps", {})
    alert = aps.get("alert", {})
    if isinstance(alert, str):
        alert = {"body": alert}
    sender = payload.get("bottlepost", {}).get("sender", {})
    seen = Seen(
        title=alert.get("title", "") or _key(alert, "title-loc-key"),
        subtitle=alert.get("subtitle", "") or _key(alert, "subtitle-loc-key"),
        body=alert.get("body", "") or _key(alert, "loc-key"),
        # Only a service extension of the app shows it.
        icon=sender.get("avatar", "") if aps.get("mutable-content") else "",
        note="" if alert else BY_THE_APP,
    )
    if push_type not in ("alert", "background"):
        return seen._replace(note=f"A push of the type {push_type}: for the app.")
    return seen


def by_android(body: bytes) -> Seen:
    message = json.loads(body).get("message", {})
    basic = message.get("notification")
    own = message.get("android", {}).get("notification")
    if basic is None and not {"title", "title_loc_key"} & (own or {}).keys():
        return Seen(note=BY_THE_APP)
    shown = {**(basic or {}), **(own or {})}
    return Seen(
        title=shown.get("title", "") or _key(shown, "title_loc_key"),
        body=shown.get("body", "") or _key(shown, "body_loc_key"),
        image=shown.get("image", ""),
    )


def by_browser(body: bytes) -> Seen:
    payload = json.loads(body)
    is_declarative = payload.get("web_push") == 8030
    shown = payload.get("notification", {}) if is_declarative else payload
    options = shown if is_declarative else payload.get("options", {})
    heading = [shown.get("title", ""), shown.get("chat", "")]
    if payload.get("silent"):
        return Seen(note="Nothing is shown.")
    sender = payload.get("bottlepost", {}).get("sender", {})
    actions = tuple(str(each["title"]) for each in options.get("actions", ()))
    return Seen(
        title=" · ".join(filter(None, heading)),
        body=shown.get("body", ""),
        icon=options.get("icon", "") or sender.get("avatar", ""),
        image=options.get("image", ""),
        actions=actions,
        note="Safari shows it by itself." if is_declarative else "",
    )


def by_mail_program(body: bytes) -> Seen:
    mail = email.message_from_bytes(body, policy=SMTP)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - by the policy
    part = mail.get_body(("plain",))
    text = "" if part is None else str(part.get_content())
    return Seen(
        title=str(mail["Subject"]),
        subtitle=str(mail["From"]),
        body=text.replace("\r\n", "\n"),
    )


def _key(alert: Mapping[str, Any], name: str) -> str:
    """The key of a text that the app has in its own languages."""
    key = alert.get(name)
    return f"[{key}]" if key else ""
