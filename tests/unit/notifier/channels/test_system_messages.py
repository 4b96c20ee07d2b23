"""What devices show of a message without a sender."""

import json
from typing import Any

import pytest

from config import PREVIEW_SENDER
from models.pushes import Notification
from notifier.channels import push_ids
from notifier.channels.apns import payload as apns_payload
from notifier.channels.email import bodies
from notifier.channels.fcm.payload import Renderer
from notifier.channels.webpush import payload as webpush_payload
from notifier.engine.redact import redact
from tests.support.notifications import make_notification, make_target

SYSTEM: dict[str, Any] = {"sender_name": "", "sender_id": 0, "text": "Bob has joined"}


def of_apns(notification: Notification) -> tuple[str, str | None, str]:
    [request] = apns_payload.render(notification).requests([make_target()])
    alert = json.loads(request.body)["aps"]["alert"]
    return alert["title"], alert.get("subtitle") or None, alert["body"]


def of_fcm(notification: Notification) -> tuple[str, str | None, str]:
    rendered = Renderer("service-account.json", "harbour").render(notification)
    body = json.loads(rendered.request(make_target()).body)
    shown = body["message"].get("notification") or body["message"]["android"]
    return shown["title"], None, shown["body"]


def of_browsers(notification: Notification) -> tuple[str, str | None, str]:
    shown = json.loads(webpush_payload.render(notification).text(1))
    return shown["title"], shown["chat"] or None, shown["body"]


@pytest.mark.parametrize("is_group", [False, True])
@pytest.mark.parametrize("render", [of_apns, of_fcm, of_browsers])
def test_its_title_is_the_conversation(render: Any, is_group: bool) -> None:
    shown = render(make_notification(**SYSTEM, is_group=is_group))

    assert shown == ("Harbour", None, "Bob has joined")


def test_mails_name_the_conversation_in_place_of_a_writer() -> None:
    entry = bodies._html_entry(make_notification(**SYSTEM), "en")

    assert "<b>Harbour</b>" in entry


def test_apps_learn_the_conversation_and_no_sender() -> None:
    [reference] = push_ids.references(make_notification(**SYSTEM))[:1]

    assert reference["chat"] == {"name": "Harbour", "group": False}
    assert "sender" not in reference


def test_a_short_preview_has_the_same_title() -> None:
    hidden = redact(make_notification(**SYSTEM), PREVIEW_SENDER)

    assert hidden.heading == ("Harbour", "")
