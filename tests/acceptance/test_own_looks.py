"""The app's own notifications in browsers and mails, through the whole system.

The sandbox's push services decrypt what browsers get; a real SMTP server takes mails.
"""

import email
import json
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.support.demo import Demo, RunningDemo
from tests.support.server import free_port
from tests.support.wait import until

AVATAR = "https://cdn.example.org/bo.png"
MESSAGE = {
    "members": True,
    "patterns": {
        "default": {"title": "{sender} wrote"},
        "de": {
            "title": "{sender} schrieb",
            "subtitle": {
                "count": "members",
                "one": "{conversation}, {members} Mitglied",
                "other": "{conversation}, {members} Mitglieder",
            },
            "email": {"subject": "Neues in {conversation}"},
        },
        "ja": {"title": "{sender}さんのメッセージ"},
    },
    "webpush": {
        "declarative": True,
        "navigate": "https://chat.example.org/",
        "urgency": "normal",
        "options": {"requireInteraction": True},
    },
    "email": {"subject": "News", "html": "<h1>{sender}</h1><p>{text}</p>"},
}
MENTION = {"patterns": {"default": {"title": "{sender} needs you"}}}
TEXT = "Land in <b>sight</b>!"


class Mails:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.inbox: dict[str, list[EmailMessage]] = {}

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=SMTP)
        assert isinstance(mail, EmailMessage)
        for address in envelope.rcpt_tos:
            self.inbox.setdefault(address, []).append(mail)
        return "250 OK"

    def next_to(self, address: str) -> EmailMessage:
        mails = self.inbox.setdefault(address, [])
        until(lambda: mails, what=f"for a mail to {address}")
        return mails.pop(0)


@pytest.fixture(scope="module")
def mails() -> Iterator[tuple[Mails, str]]:
    handler = Mails()
    port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{port}"
    controller.stop()


def demo_with(tmp_path_factory: Any, url: str, **settings: str) -> Demo:
    return Demo(
        tmp_path_factory.mktemp("looks") / "var",
        BOTTLEPOST_SMTP_URL=url,
        BOTTLEPOST_SMTP_FROM="Harbour <chat@harbour.example>",
        BOTTLEPOST_SMTP_DIGEST_S="0",
        **settings,
    )


@pytest.fixture(scope="module")
def open_house(tmp_path_factory, mails) -> Iterator[RunningDemo]:
    """A system that shows all of a message."""
    with demo_with(tmp_path_factory, mails[1]) as demo:
        running = RunningDemo(demo)
        for name, definition in (("message", MESSAGE), ("mention", MENTION)):
            answer = running.service.request("PUT", f"/kinds/{name}", definition)
            assert answer.status == 201
        yield running


@pytest.fixture(scope="module")
def closed_house(tmp_path_factory, mails) -> Iterator[RunningDemo]:
    """A system that shows nothing of a message."""
    settings = {"BOTTLEPOST_PUSH_PREVIEW": "none"}
    with demo_with(tmp_path_factory, mails[1], **settings) as demo:
        running = RunningDemo(demo)
        running.service.request("PUT", "/kinds/message", MESSAGE)
        yield running


def browser_of(demo: RunningDemo, name: str, locale: str) -> str:
    token = demo.subscribe()
    device = {"platform": "webpush", "token": token, "locale": locale}
    assert demo.people[name].post("/devices", device).status == 201
    return token


def mailbox_of(demo: RunningDemo, name: str, address: str, locale: str) -> None:
    device = {"platform": "email", "token": address, "locale": locale}
    path = f"/users/{id_of(demo, name)}/devices"
    assert demo.service.post(path, device).status == 201


def id_of(demo: RunningDemo, name: str) -> int:
    members = demo.people["Ada"].get(f"/groupchat/{demo.chat}/members").json["members"]
    return next(one["id"] for one in members if one["name"] == name)


def say(demo: RunningDemo, text: str = TEXT, **more: Any) -> Any:
    body = {"conversation": demo.chat, "message": text, **more}
    answer = demo.people["Bo"].post("/groupchat/send", body)
    assert answer.status == 201, answer.json
    return answer.json["message"]


def pushed(demo: RunningDemo, token: str) -> Any:
    until(lambda: demo.payloads(token), what="for the push")
    return demo.payloads(token)[-1]


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def markup(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def test_each_browser_shows_the_kind_in_its_language(open_house) -> None:
    bo = id_of(open_house, "Bo")
    open_house.service.request("PATCH", f"/users/{bo}", {"avatar_url": AVATAR})
    titles = {
        "de-AT": "Bo schrieb · Lighthouse, 3 Mitglieder",
        "ja": "Boさんのメッセージ · Lighthouse",
        "fr": "Bo wrote · Lighthouse",
    }
    tokens = {each: browser_of(open_house, "Ada", each) for each in titles}

    message = say(open_house)

    for locale, title in titles.items():
        push = pushed(open_house, tokens[locale])
        shown = push["notification"]
        assert push["web_push"] == 8030
        assert (shown["title"], shown["body"]) == (title, TEXT)
        assert shown["navigate"] == "https://chat.example.org/"
        assert shown["icon"] == AVATAR
        assert shown["requireInteraction"]
        about = shown["data"]["bottlepost"]
        assert about["message"] == message["id"]
        assert about["sender"]["name"] == "Bo"
        assert about["chat"] == {"name": "Lighthouse", "group": True}


def test_a_mention_and_a_withdrawal_are_told_apart(open_house) -> None:
    token = browser_of(open_house, "Ada", "de")

    message = say(open_house, mentions=[id_of(open_house, "Ada")])
    mention = pushed(open_house, token)
    path = f"/groupchat/{open_house.chat}/messages/{message['id']}"
    open_house.people["Bo"].delete(path)
    until(lambda: len(open_house.payloads(token)) == 2, what="for the withdrawal")
    withdrawal = open_house.payloads(token)[1]

    # The kind for mentions has no block for browsers.
    assert mention["title"] == "Bo needs you"
    assert mention["bottlepost"]["mentioned"] is True
    shown = withdrawal.get("notification", withdrawal)
    assert shown["body"] == "Nachricht gelöscht"


def test_mails_have_the_kinds_subject_and_bodies(open_house, mails) -> None:
    inbox, _ = mails
    mailbox_of(open_house, "Ada", "ada@example.org", "de-AT")
    mailbox_of(open_house, "Cleo", "cleo@example.org", "en")

    say(open_house)

    german, english = (
        inbox.next_to("ada@example.org"),
        inbox.next_to("cleo@example.org"),
    )
    assert german["Subject"] == "Neues in Lighthouse"
    assert english["Subject"] == "News"
    for mail in (german, english):
        assert "<h1>Bo</h1><p>Land in &lt;b&gt;sight&lt;/b&gt;!</p>" in markup(mail)
    assert plain(german).startswith("Bo schrieb, ")
    assert plain(english).startswith("Bo wrote, ")


def test_a_closed_house_says_it_in_german_and_says_no_more(closed_house, mails) -> None:
    inbox, _ = mails
    token = browser_of(closed_house, "Ada", "de-AT")
    mailbox_of(closed_house, "Ada", "closed@example.org", "de-AT")

    say(closed_house)

    push = json.dumps(pushed(closed_house, token), ensure_ascii=False)
    mail = inbox.next_to("closed@example.org")
    written = f"{plain(mail)} {markup(mail)} {mail['Subject']}"
    assert "Neue Nachricht" in push
    assert "Neue Nachricht" in written
    for secret in ("Bo", "Lighthouse", "sight", "schrieb"):
        assert secret not in push
        assert secret not in written.replace("Bottlepost", "").replace("<body", "")
