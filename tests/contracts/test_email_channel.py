"""Mails as an SMTP server receives them, and how the channel connects to it."""

import ssl

import pytest

from models.pushes import READ, WITHDRAW
from notifier.outcome import ChannelDown
from tests.support import tls
from tests.support.email_service import SENDER, EmailService, targets

# -- the mail


async def test_a_message_arrives_as_text_and_html(email: EmailService) -> None:
    text = "Ahoy <b>& grüße</b> 🚢\nAda"

    await email.send(targets("bob@example.org"), text=text)

    [received] = email.server.inbox
    assert (received.sender, received.recipient) == (SENDER, "bob@example.org")
    assert received.mail["To"] == "bob@example.org"
    assert received.mail["From"] == f"Harbour Chat <{SENDER}>"
    assert received.mail["Subject"] == "Harbour"
    assert "Ahoy <b>& grüße</b> 🚢" in received.plain
    assert "Ahoy &lt;b&gt;&amp; grüße&lt;/b&gt; 🚢<br>" in received.html


async def test_many_recipients_share_one_connection(email: EmailService) -> None:
    addresses = [f"user{number}@example.org" for number in range(50)]

    reports = await email.send(targets(*addresses))

    recipients = [received.recipient for received in email.server.inbox]
    assert reports.kinds() == ["accepted"] * 50
    assert sorted(recipients) == sorted(addresses)
    assert len(email.server.connections) == 1


async def test_a_repeated_mail_has_the_same_id(email: EmailService) -> None:
    for _ in range(2):
        await email.send(targets("bob@example.org", "eve@example.org"))

    by_recipient: dict[str, set[str]] = {}
    for received in email.server.inbox:
        ids = by_recipient.setdefault(received.recipient, set())
        ids.add(received.mail["Message-ID"])
    assert {len(ids) for ids in by_recipient.values()} == {1}
    assert by_recipient["bob@example.org"] != by_recipient["eve@example.org"]


async def test_a_line_that_is_only_a_dot_does_not_end_the_mail(
    email: EmailService,
) -> None:
    text = "one\n.\n..\nMAIL FROM:<eve@example.org>"

    await email.send(targets("bob@example.org"), text=text)

    [received] = email.server.inbox
    assert text in received.plain.replace("\r\n", "\n")


@pytest.mark.parametrize("kind", [READ, WITHDRAW])
async def test_only_messages_are_mailed(email: EmailService, kind: str) -> None:
    reports = await email.send(targets("bob@example.org"), kind=kind)

    assert reports.kinds() == ["accepted"]
    assert email.server.connections == []


# -- TLS and the password


def demand_password(
    email: EmailService, password: str = "secret", *, tls: ssl.SSLContext | None
) -> None:
    """The server offers STARTTLS with this context, and the channel demands it."""
    email.server.user, email.server.password = "me", password
    email.server.tls = tls
    email.options = "?tls=starttls"


async def test_a_password_is_sent_in_tls_only(email: EmailService) -> None:
    demand_password(email, "pässwört", tls=tls.server_context(alpn=()))

    reports = await email.send(targets("bob@example.org"))

    assert reports.kinds() == ["accepted"]
    assert email.server.inbox[0].secured
    assert email.server.inbox[0].user == "me"


async def test_a_server_may_use_implicit_tls(email: EmailService) -> None:
    email.server.user, email.server.password = "me", "secret"
    email.scheme = "smtps"
    await email.stop()
    await email.start(implicit_tls=tls.server_context(alpn=()))

    reports = await email.send(targets("bob@example.org"))

    assert reports.kinds() == ["accepted"]
    assert email.server.inbox[0].secured


async def test_a_server_without_the_demanded_tls_gets_nothing(
    email: EmailService,
) -> None:
    email.options = "?tls=starttls"

    with pytest.raises(ChannelDown, match="STARTTLS"):
        await email.send(targets("bob@example.org"))

    assert email.server.offered == 0


async def test_a_server_with_an_untrusted_certificate_gets_nothing(
    email: EmailService,
) -> None:
    identity = tls.make_authority().issue("server.test")
    demand_password(email, tls=tls.server_context(alpn=(), identity=identity))

    with pytest.raises(ChannelDown, match="certificate"):
        await email.send(targets("bob@example.org"))

    assert email.server.logins == 0


async def test_a_refused_password_is_an_alarm_and_keeps_the_devices(
    email: EmailService,
) -> None:
    demand_password(email, "secret", tls=tls.server_context(alpn=()))
    email.password = "wrong"

    reports = await email.send(targets("a@x.example", "b@x.example"))

    assert reports.kinds() == ["credentials"] * 2
    assert len(email.server.connections) == 1
    route, reason = email.troubles.reports[0]
    assert route == "email localhost"
    assert "535" in (reason or "")
    assert "wrong" not in (reason or "")
