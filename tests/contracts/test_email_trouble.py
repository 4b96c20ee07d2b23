"""The mail channel when the SMTP server refuses, fails or is gone."""

import asyncio
from pathlib import Path

import pytest

from notifier.channels.email import relay
from notifier.outcome import ChannelDown, Kind
from tests.support import mail_channel, smtp_server
from tests.support.mail_channel import Open
from tests.support.notifications import Reports, make_notification
from tests.support.wait import eventually


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return mail_channel.opener(tmp_path)


# -- what the server says


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("550 5.1.1 no such user", Kind.GONE),
        ("550 no", Kind.SUSPECT),
        ("553 5.1.3 odd address", Kind.SUSPECT),
        ("550 5.7.1 you look like spam", Kind.REFUSED),
        ("552 5.2.2 mailbox full", Kind.REFUSED),
        ("450 4.2.0 greylisted", Kind.LATER),
    ],
)
async def test_a_refused_recipient_harms_no_other(
    opened: Open, reply: str, kind: Kind
) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        server.to_recipient["bob@example.org"] = reply

        reports = await mail_channel.send(
            channel, mail_channel.targets("bob@example.org", "eve@example.org")
        )

    assert reports.by_device[1].kind is kind
    assert reports.by_device[1].reason == reply
    assert reports.by_device[2].kind is Kind.ACCEPTED
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("reply", "kind"), [("554 5.6.0 no", Kind.REFUSED), ("451 4.3.0 hm", Kind.LATER)]
)
async def test_a_refused_mail_is_not_taken_for_a_dead_address(
    opened: Open, reply: str, kind: Kind
) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        server.to_data = reply

        reports = await mail_channel.send(
            channel, mail_channel.targets("bob@example.org")
        )

    assert reports.by_device[1].kind is kind


async def test_a_refused_sender_is_the_operators_trouble(opened: Open) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        server.to_sender = "553 5.7.1 not your address"

        reports = await mail_channel.send(
            channel, mail_channel.targets("bob@example.org")
        )

    assert reports.kinds() == ["credentials"]


async def test_an_address_that_is_none_is_not_told_to_the_server(opened: Open) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        reports = await mail_channel.send(
            channel, mail_channel.targets("bob@example.org> SIZE=1", "a@b.org")
        )

    assert reports.kinds() == ["suspect", "accepted"]
    assert [received.recipient for received in server.inbox] == ["a@b.org"]


# -- outages


async def test_a_server_that_is_not_there_is_an_outage(opened: Open) -> None:
    async with smtp_server.run() as server:
        url = server.url()
    async with opened(url) as channel:
        reports = Reports()

        with pytest.raises(ChannelDown):
            await channel.send(
                channel.render(make_notification()),
                mail_channel.targets("a@x.example"),
                reports,
            )

    assert reports.by_device == {}


async def test_a_server_in_trouble_is_asked_once_and_left_alone(opened: Open) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        server.to_sender = "421 4.3.2 going down"

        with pytest.raises(ChannelDown, match="421"):
            await mail_channel.send(
                channel, mail_channel.targets(*(f"u{n}@x.example" for n in range(20)))
            )

    assert len(server.connections) == 1


async def test_a_connection_that_was_cut_between_mails_is_replaced(
    opened: Open,
) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        await mail_channel.send(channel, mail_channel.targets("a@x.example"))
        server.connections[0].transport.abort()

        reports = await mail_channel.send(channel, mail_channel.targets("b@x.example"))

    assert reports.kinds() == ["accepted"]
    assert len(server.connections) == 2


async def test_a_connection_that_the_server_has_tired_of_is_replaced(
    opened: Open,
) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        await mail_channel.send(channel, mail_channel.targets("a@x.example"))
        server.to_next_sender = "421 4.4.2 too many mails on one connection"

        reports = await mail_channel.send(channel, mail_channel.targets("b@x.example"))

    assert reports.kinds() == ["accepted"]
    assert len(server.connections) == 2


async def test_a_server_that_does_not_answer_is_given_up(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "DATA_TIMEOUT_S", 0.2)
    async with smtp_server.run() as server, opened(server.url()) as channel:
        server.gate.clear()

        with pytest.raises(ChannelDown, match="no answer in time"):
            await mail_channel.send(channel, mail_channel.targets("a@x.example"))


async def test_a_mail_is_not_offered_twice_when_its_answer_is_lost(
    opened: Open,
) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        await mail_channel.send(channel, mail_channel.targets("a@x.example"))
        server.gate.clear()
        send = asyncio.create_task(
            mail_channel.send(channel, mail_channel.targets("b@x.example"))
        )
        await eventually(lambda: server.offered == 2)

        server.connections[0].transport.abort()

        with pytest.raises(ChannelDown, match="lost"):
            await send
        assert server.offered == 2


async def test_a_connection_nobody_uses_is_given_back(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "IDLE_TIMEOUT_S", 0.05)
    async with smtp_server.run() as server, opened(server.url()) as channel:
        await mail_channel.send(channel, mail_channel.targets("a@x.example"))

        await eventually(lambda: server.connections[0].transport is None)

        assert (
            await mail_channel.send(channel, mail_channel.targets("a@x.example"))
        ).kinds() == ["accepted"]
