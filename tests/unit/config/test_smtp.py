"""The settings of mail: the server's URL and the sender."""

from collections.abc import Callable

import pytest

from config import Settings, SettingsError, smtp

Read = Callable[..., Settings]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 587, "starttls", None, None)),
        ("smtps://mail.example.org", ("mail.example.org", 465, "tls", None, None)),
        (
            "smtp://me%40x.org:p%3Aw%2F@mail.example.org:2525",
            ("mail.example.org", 2525, "starttls", "me@x.org", "p:w/"),
        ),
        ("smtp://localhost:1025", ("localhost", 1025, "none", None, None)),
        ("smtp://127.0.0.1:25/", ("127.0.0.1", 25, "none", None, None)),
        ("smtp://[::1]:25", ("::1", 25, "none", None, None)),
        ("smtp://localhost?tls=starttls", ("localhost", 587, "starttls", None, None)),
        ("smtp://10.0.0.9:25?tls=none", ("10.0.0.9", 25, "none", None, None)),
    ],
)
def test_mail_server_uses_tls_unless_its_url_says_otherwise(
    url: str, server: tuple[object, ...]
) -> None:
    assert tuple(smtp.server(url)) == server


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mail.example.org", "must look like"),
        ("http://mail.example.org", "must look like"),
        ("smtp://", "must look like"),
        ("smtp://mail.example.org:99999", "must look like"),
        ("smtp://mail.example.org/inbox", "must look like"),
        ("smtp://me@mail.example.org", "or neither"),
        ("smtp://mail.example.org?tls=maybe", "nothing else"),
        ("smtps://mail.example.org?tls=none", "always is TLS"),
        ("smtp://mail.example.org?timeout=3", "'timeout'"),
    ],
)
def test_invalid_smtp_url_names_its_variable(
    read: Read, url: str, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem) as refused:
        read(SMTP_URL=url, SMTP_FROM="chat@example.org")

    assert refused.value.variable == "BOTTLEPOST_SMTP_URL"


def test_the_password_is_never_shown(read: Read) -> None:
    url = "smtp://me:hunter2@mail.example.org"

    settings = read(SMTP_URL=url, SMTP_FROM="chat@example.org")

    assert settings.smtp_url == url
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("chat@example.org", "", "chat@example.org"),
        ("Harbour Chat <chat@example.org>", "Harbour Chat", "chat@example.org"),
        ('"Hafen, groß" <chat@example.org>', "Hafen, groß", "chat@example.org"),
    ],
)
def test_sender_can_have_a_name(sender: str, name: str, address: str) -> None:
    found = smtp.sender(sender)

    assert (found.display_name, found.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "sender",
    [
        "chat",
        "a@x.org, b@x.org",
        "Chat <chat>",
        "a@x.org\nBcc: b@x.org",
        "<>",
        "ä@x.org",
    ],
)
def test_invalid_sender_names_its_variable(read: Read, sender: str) -> None:
    with pytest.raises(SettingsError, match="must look like") as refused:
        read(SMTP_URL="smtp://localhost", SMTP_FROM=sender)

    assert refused.value.variable == "BOTTLEPOST_SMTP_FROM"


@pytest.mark.parametrize(
    ("given", "missing"), [("SMTP_URL", "SMTP_FROM"), ("SMTP_FROM", "SMTP_URL")]
)
def test_incomplete_mail_settings_are_refused(
    read: Read, given: str, missing: str
) -> None:
    values = {"SMTP_URL": "smtp://localhost", "SMTP_FROM": "chat@example.org"}

    with pytest.raises(SettingsError, match="is missing") as refused:
        read(**{given: values[given]})

    assert refused.value.variable == f"BOTTLEPOST_{missing}"
