"""The mail channel against a real SMTP server: what arrives, and how."""

import ssl
from pathlib import Path

import pytest

from models.pushes import READ, WITHDRAW
from notifier.outcome import ChannelDown
from tests.support import mail_channel, smtp_server, tls
from tests.support.fake_provider import RecordedTroubles
from tests.support.mail_channel import SENDER, Open
from tests.support.notifications import make_notification
from tests.support.smtp_server import MailServer


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return mail_channel.opener(tmp_path)


# -- what arrives


async def test_a_message_arrives_as_text_and_html(opened: Open) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        reports = await mail_channel.send(
            channel,
            mail_channel.targets("bob@example.org"),
            text="Ahoy <b>& grüße</b> 🚢\nAda",
        )

    assert reports.kinds() == ["accepted"]
    [received] = server.inbox
    assert (received.sender, received.recipient) == (SENDER, "bob@example.org")
    assert received.mail["To"] == "bob@example.org"
    assert received.mail["From"] == f"Harbour Chat <{SENDER}>"
    assert received.mail["Subject"] == "Harbour"
    assert "Ahoy <b>& grüße</b> 🚢" in received.plain
    assert "Ahoy &lt;b&gt;&amp; grüße&lt;/b&gt; 🚢<br>" in received.html


async def test_many_recipients_share_one_connection(opened: Open) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        addresses = [f"user{number}@example.org" for number in range(50)]

        reports = await mail_channel.send(channel, mail_channel.targets(*addresses))

    assert reports.kinds() == ["accepted"] * 50
    assert sorted(received.recipient for received in server.inbox) == sorted(addresses)
    assert len(server.connections) == 1


async def test_a_repeated_mail_has_the_same_id(opened: Open) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        targets = mail_channel.targets("bob@example.org", "eve@example.org")

        for _ in range(2):
            await mail_channel.send(channel, targets)

    by_recipient: dict[str, set[str]] = {}
    for received in server.inbox:
        by_recipient.setdefault(received.recipient, set()).add(
            received.mail["Message-ID"]
        )
    assert {len(ids) for ids in by_recipient.values()} == {1}
    assert by_recipient["bob@example.org"] != by_recipient["eve@example.org"]


async def test_a_line_that_is_only_a_dot_does_not_end_the_mail(opened: Open) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        text = "one\n.\n..\nMAIL FROM:<eve@example.org>"

        await mail_channel.send(
            channel, mail_channel.targets("bob@example.org"), text=text
        )

    [received] = server.inbox
    assert text in received.plain.replace("\r\n", "\n")


# -- the way in


async def test_a_password_is_told_in_tls_only(opened: Open) -> None:
    server = MailServer("me", "pässwört", tls=tls.server_context(alpn=()))
    async with (
        smtp_server.run(server),
        opened(server.url(options="?tls=starttls")) as channel,
    ):
        reports = await mail_channel.send(
            channel, mail_channel.targets("bob@example.org")
        )

    assert reports.kinds() == ["accepted"]
    assert server.inbox[0].secured
    assert server.inbox[0].user == "me"


async def test_a_server_may_speak_tls_from_the_start(opened: Open) -> None:
    context = tls.server_context(alpn=())
    server = MailServer("me", "secret")
    async with (
        smtp_server.run(server, implicit_tls=context),
        opened(server.url("smtps")) as channel,
    ):
        reports = await mail_channel.send(
            channel, mail_channel.targets("bob@example.org")
        )

    assert reports.kinds() == ["accepted"]
    assert server.inbox[0].secured


async def test_a_server_without_the_demanded_tls_gets_nothing(opened: Open) -> None:
    async with (
        smtp_server.run() as server,
        opened(server.url(options="?tls=starttls")) as channel,
    ):
        with pytest.raises(ChannelDown, match="STARTTLS"):
            await mail_channel.send(channel, mail_channel.targets("bob@example.org"))

    assert server.offered == 0


async def test_a_server_whose_certificate_nobody_trusts_gets_nothing(
    opened: Open,
) -> None:
    identity = tls.make_authority().issue("server.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(identity.certificate, identity.key)
    server = MailServer("me", "secret", tls=context)
    async with (
        smtp_server.run(server),
        opened(server.url(options="?tls=starttls")) as channel,
    ):
        with pytest.raises(ChannelDown, match="certificate"):
            await mail_channel.send(channel, mail_channel.targets("bob@example.org"))

    assert server.logins == 0


async def test_a_refused_password_is_an_alarm_and_keeps_the_devices(
    opened: Open,
) -> None:
    server = MailServer("me", "secret", tls=tls.server_context(alpn=()))
    async with smtp_server.run(server):
        url = server.url(options="?tls=starttls").replace("secret", "wrong")
        troubles = RecordedTroubles()
        async with opened(url, troubles) as channel:
            reports = await mail_channel.send(
                channel, mail_channel.targets("a@x.example", "b@x.example")
            )

    assert reports.kinds() == ["credentials"] * 2
    assert len(server.connections) == 1
    route, reason = troubles.reports[0]
    assert route == "email localhost"
    assert "535" in (reason or "")
    assert "wrong" not in reason


# -- what is not mailed


@pytest.mark.parametrize("kind", [READ, WITHDRAW])
async def test_what_is_no_message_needs_no_mail(opened: Open, kind: str) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        reports = await mail_channel.send(
            channel, mail_channel.targets("bob@example.org"), kind=kind
        )

    assert reports.kinds() == ["accepted"]
    assert server.connections == []


async def test_a_silent_message_is_refused(opened: Open) -> None:
    async with opened("smtp://localhost:1") as channel:
        with pytest.raises(ValueError, match="silent"):
            channel.render(make_notification(silent=True))
