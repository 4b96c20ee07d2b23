"""A mail names its writers, and no text in it can become a header or markup."""

import email
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels.email.payload import MailTemplate
from tests.support.mails import HEADERS, NOW, SENDER
from tests.support.notifications import make_notification


def _write(*notifications: dict[str, Any], unsubscribe: str | None = None) -> bytes:
    return MailTemplate(SENDER, unsubscribe).write(
        [make_notification(**notification) for notification in notifications or ({},)],
        to="bob@example.org",
        device_id=42,
        now=NOW,
    )


def _read(raw: bytes) -> EmailMessage:
    mail = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(mail, EmailMessage)
    return mail


def _body(raw: bytes, kind: str) -> str:
    part = _read(raw).get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_a_mail_program_can_tell_what_it_is() -> None:
    mail = _read(_write())

    assert set(mail.keys()) == HEADERS
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOW
    assert mail.get_content_type() == "multipart/alternative"


def test_mails_of_a_conversation_are_one_thread() -> None:
    first, second = _read(_write()), _read(_write({"message_id": 8, "seq": 6}))
    other = _read(_write({"chat_id": 4}))

    assert first["References"] == second["References"] != other["References"]
    assert first["Subject"] == second["Subject"]
    assert first["Message-ID"] != second["Message-ID"]


def test_the_same_messages_have_the_same_id() -> None:
    notifications = {"message_id": 7}, {"message_id": 9}

    assert (
        _read(_write(*notifications))["Message-ID"]
        == _read(_write(*notifications))["Message-ID"]
    )
    assert _read(_write(*notifications))["Message-ID"] != _read(_write())["Message-ID"]


def test_one_can_ask_for_no_more_mails_by_mail() -> None:
    link = "<mailto:chat@harbour.example?subject=unsubscribe%2042>"

    assert _read(_write())["List-Unsubscribe"] == link


def test_one_can_ask_for_no_more_mails_on_a_page() -> None:
    mail = _read(_write(unsubscribe="https://harbour.example/settings"))

    assert mail["List-Unsubscribe"] == "<https://harbour.example/settings>"


URL = "https://chat.example.org/" + "a/long/prefix/" * 15 + "unsubscribe/token"
MAILTO = "mailto:chat@harbour.example?subject=unsubscribe%2042"


@pytest.mark.parametrize(
    ("unsubscribe", "urls"),
    [
        (None, [URL, MAILTO]),
        ("mailto:stop@harbour.example", [URL, "mailto:stop@harbour.example"]),
        # Two pages would leave open which of them takes the POST.
        ("https://harbour.example/settings", [URL]),
    ],
)
def test_mail_programs_can_unsubscribe_with_one_click(
    unsubscribe: str | None, urls: list[str]
) -> None:
    template = MailTemplate(SENDER, unsubscribe, lambda device_id: URL)
    raw = template.write([make_notification()], to="b@c.de", device_id=42, now=NOW)
    mail = _read(raw)

    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["List-Unsubscribe"] == ", ".join(f"<{url}>" for url in urls)
    # As it is on the wire: neither encoded nor folded inside.
    assert all(f"<{url}>".encode() in raw for url in urls)


def test_long_page_is_not_encoded() -> None:
    assert f"List-Unsubscribe: <{URL}>\r\n".encode() in _write(unsubscribe=URL)


def test_each_message_has_its_writer_and_its_time() -> None:
    raw = _write(
        {"text": "Ahoy", "created_at": NOW},
        {"sender_name": "Bob", "text": "Aye", "message_id": 8, "created_at": NOW},
    )

    assert _body(raw, "plain").replace("\r\n", "\n") == (
        "Ada, 2025-06-15 12:30 UTC:\nAhoy\n\nBob, 2025-06-15 12:30 UTC:\nAye\n"
    )
    html = _body(raw, "html")
    assert html.index("Ahoy") < html.index("<b>Bob</b>") < html.index("Aye")


def test_without_a_kind_every_byte_is_as_ever() -> None:
    raw = _write({}, {"sender_name": "", "chat_name": "", "message_id": 8})

    boundary = _read(raw).get_boundary()
    assert boundary is not None
    assert raw.replace(boundary.encode(), b"=").replace(b"\r\n", b"\n") == MAIL


MAIL = b"""\
From: Harbour Chat <chat@harbour.example>
To: bob@example.org
Subject: Conversation 3
Date: Sun, 15 Jun 2025 12:30:00 +0000
Message-ID: <bottlepost-message-7-8-2-device-42@harbour.example>
In-Reply-To: <bottlepost-chat-3@harbour.example>
References: <bottlepost-chat-3@harbour.example>
List-Unsubscribe: <mailto:chat@harbour.example?subject=unsubscribe%2042>
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: multipart/alternative;
 boundary="="

--=
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 7bit

Ada, 2025-01-01 00:00 UTC:
Ship ahoy

Somebody, 2025-01-01 00:00 UTC:
Ship ahoy

--=
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: quoted-printable
MIME-Version: 1.0

<!DOCTYPE html>
<html><head><meta charset=3D"utf-8"><title>Conversation 3</title></head>
<body style=3D"font-family:sans-serif">
<p dir=3D"auto"><b>Ada</b> <small style=3D"color:#666">2025-01-01 00:00 UTC</=
small><br>
Ship ahoy</p>
<p dir=3D"auto"><b>Somebody</b> <small style=3D"color:#666">2025-01-01 00:00 =
UTC</small><br>
Ship ahoy</p>
</body></html>

--=--
"""


def test_markup_is_shown_and_not_obeyed() -> None:
    html = _body(
        _write(
            {
                "sender_name": '<img src="x">',
                "chat_name": "</title><script>",
                "text": "<script>alert('x')</script>",
            }
        ),
        "html",
    )

    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in html


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\x0b", "\x85"])
def test_every_line_end_is_one(end: str) -> None:
    raw = _write({"text": f"one{end}two"})

    assert "one<br>\ntwo" in _body(raw, "html").replace("\r\n", "\n")


def test_a_line_that_is_only_a_dot_or_begins_with_from_stays_one() -> None:
    raw = _write({"text": "one\n.\nFrom me"})

    assert "one\n.\nFrom me" in _body(raw, "plain").replace("\r\n", "\n")


def test_a_conversation_without_a_name_has_its_number() -> None:
    assert _read(_write({"chat_name": "\r\n"}))["Subject"] == "Conversation 3"


def test_a_text_of_any_length_makes_lines_that_every_server_takes() -> None:
    raw = _write({"text": "x" * 4000}, {"text": "ß" * 4000})

    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.isascii()


@pytest.mark.parametrize("field", ["chat_name", "sender_name", "text"])
@pytest.mark.parametrize(
    "evil",
    [
        "x\r\nBcc: eve@example.org",
        "x\nBcc: eve@example.org\n\nbody",
        "x\rBcc: eve@example.org",
        "x\x00\r\n\r\n.\r\nMAIL FROM:<eve@example.org>",
        "=?utf-8?q?x=0ABcc=3A_eve=40example=2Eorg?=",
        "x\u2028Bcc: eve@example.org",
        "\ud800",
    ],
)
def test_no_name_and_no_text_becomes_a_header(field: str, evil: str) -> None:
    raw = _write({field: evil})

    assert set(_read(raw).keys()) == HEADERS
    assert b"\n" not in raw.replace(b"\r\n", b"")


@settings(max_examples=150)
@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_nothing_that_members_write_breaks_a_mail(
    chat_name: str, sender_name: str, text: str
) -> None:
    raw = _write({"chat_name": chat_name, "sender_name": sender_name, "text": text})

    mail = _read(raw)
    assert set(mail.keys()) == HEADERS
    assert mail["To"] == "bob@example.org"
    assert raw.isascii()
    assert not any(part.defects for part in mail.walk())
