"""The subject and both bodies of a kind, in the language of the device."""

import email
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pushes import Shown
from notifier.channels.email.payload import MailTemplate
from notifier.engine import redact
from tests.support.mails import HEADERS, NOW, SENDER
from tests.support.notifications import make_notification


def _shown(block: dict[str, Any] | None = None, **texts: str) -> Shown:
    built_in = {"title": "Ada", "subtitle": "Harbour", "body": "Ship ahoy"}
    return Shown(**{**built_in, **texts}, block=block or {})


def _mail(*shown: Shown | None, locale: str | None = None, **more: Any) -> EmailMessage:
    notifications = [
        make_notification(shown=each, message_id=number, created_at=NOW, **more)
        for number, each in enumerate(shown, 7)
    ]
    raw = MailTemplate(SENDER, None).write(
        notifications, to="bob@example.org", device_id=42, now=NOW, locale=locale
    )
    mail = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(mail, EmailMessage)
    assert raw.isascii()
    assert set(mail.keys()) == HEADERS
    return mail


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_mail_has_the_texts_of_the_patterns() -> None:
    mail = _mail(_shown(title="Ada rings", subtitle="Call in Harbour", body="Now"))

    assert mail["Subject"] == "Call in Harbour"
    assert _body(mail, "plain") == "Ada rings, 2025-06-15 12:30 UTC:\nNow\n"
    assert "<b>Ada rings</b>" in _body(mail, "html")


def test_a_mail_has_the_subject_and_the_bodies_of_its_block() -> None:
    block = {"subject": "Ada wrote", "text": "Ahoy\nthere", "html": "<h1>Ahoy</h1>"}

    mail = _mail(_shown(block))

    assert mail["Subject"] == "Ada wrote"
    assert _body(mail, "plain") == "Ahoy\nthere\n"
    assert '<div dir="auto"><h1>Ahoy</h1></div>' in _body(mail, "html")


def test_the_html_body_can_come_from_the_text() -> None:
    mail = _mail(_shown({"text": "<Ahoy>\nthere"}))

    assert '<p dir="auto">&lt;Ahoy&gt;<br>\nthere</p>' in _body(mail, "html")


def test_the_text_body_can_come_from_the_patterns() -> None:
    mail = _mail(_shown({"html": "<h1>Ahoy</h1>"}))

    assert _body(mail, "plain").endswith("UTC:\nShip ahoy\n")


def test_each_message_of_a_mail_has_its_own_kind() -> None:
    mail = _mail(None, _shown({"text": "A call", "html": "<i>A call</i>"}))

    assert _body(mail, "plain").endswith("UTC:\nShip ahoy\n\nA call\n")
    html = _body(mail, "html")
    assert html.index("<b>Ada</b>") < html.index("<i>A call</i>")


def test_the_newest_message_gives_the_subject() -> None:
    mail = _mail(_shown({"subject": "First"}), _shown({"subject": "Second"}))

    assert mail["Subject"] == "Second"


@pytest.mark.parametrize("subtitle", ["", " ", "\r\n"])
def test_a_subject_is_never_empty(subtitle: str) -> None:
    mail = _mail(_shown(subtitle=subtitle))

    assert mail["Subject"] == "Harbour"


def test_our_own_words_are_in_the_language_of_the_device() -> None:
    mail = _mail(None, locale="de-AT", chat_name="", sender_name="")

    assert mail["Subject"] == "Unterhaltung 3"
    assert _body(mail, "plain") == "Jemand, 15. Juni 2025, 12:30 UTC:\nShip ahoy\n"
    assert '<html lang="de">' in _body(mail, "html")


def test_arabic_is_written_from_right_to_left() -> None:
    html = _body(_mail(None, locale="ar-EG"), "html")

    assert '<html lang="ar" dir="rtl">' in html


@pytest.mark.parametrize("locale", ["de", "ja"])
def test_what_stands_for_a_hidden_message_is_translated(locale: str) -> None:
    hidden = redact.redact(make_notification(created_at=NOW), "none")

    raw = MailTemplate(SENDER, None).write(
        [hidden], to="b@example.org", device_id=1, now=NOW, locale=locale
    )

    mail = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(mail, EmailMessage)
    words = {"de": "Neue Nachricht", "ja": "新着メッセージ"}
    assert _body(mail, "plain").startswith(words[locale])


EVIL = [
    "x\r\nBcc: eve@example.org",
    "x\nBcc: eve@example.org\n\nbody",
    "x\rBcc: eve@example.org",
    "x\x00\r\n\r\n.\r\nMAIL FROM:<eve@example.org>",
    "=?utf-8?q?x=0ABcc=3A_eve=40example=2Eorg?=",
    "x\u2028Bcc: eve@example.org",
    "\ud800",
    "x" * 5000,
]


@pytest.mark.parametrize("field", ["subject", "text", "html"])
@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_no_text_of_a_block_becomes_a_header(field: str, evil: str) -> None:
    _mail(_shown({field: evil}))


@pytest.mark.parametrize("field", ["title", "subtitle", "body"])
@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_no_text_of_a_pattern_becomes_a_header(field: str, evil: str) -> None:
    _mail(_shown(**{field: evil}))


@settings(max_examples=100)
@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_nothing_in_a_kind_breaks_a_mail(subject: str, text: str, html: str) -> None:
    block = {"subject": subject, "text": text, "html": html}

    mail = _mail(_shown(block, title=text, subtitle=html, body=subject))

    assert not any(part.defects for part in mail.walk())


def test_markup_of_a_pattern_is_shown_and_not_obeyed() -> None:
    html = _body(_mail(_shown(title="<script>", body="<img src=x>")), "html")

    assert "<script" not in html
    assert "<img" not in html
