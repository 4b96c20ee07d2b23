"""Several messages in one mail, and none of them lost."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from models.base import utc_now
from notifier.outcome import ChannelDown, Kind
from tests.support import mail_channel, smtp_server
from tests.support.mail_channel import Open
from tests.support.notifications import Reports, make_notification
from tests.support.wait import eventually


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return mail_channel.opener(tmp_path)


async def test_messages_of_a_conversation_come_in_one_mail(opened: Open) -> None:
    async with (
        smtp_server.run() as server,
        opened(server.url(), SMTP_DIGEST_S="60") as channel,
    ):
        targets = mail_channel.targets("bob@example.org", "eve@example.org")
        notifications = [
            {"message_id": n, "seq": n, "text": f"no. {n}"} for n in (3, 1, 2)
        ]

        reports = await asyncio.gather(
            *(
                mail_channel.send(channel, targets, **notification)
                for notification in notifications
            ),
            mail_channel.send(
                channel, targets, chat_id=4, chat_name="Pier", message_id=9, seq=1
            ),
        )

    assert [report.kinds() for report in reports] == [["accepted"] * 2] * 4
    subjects = sorted((r.recipient, r.mail["Subject"]) for r in server.inbox)
    assert subjects == [
        (address, chat)
        for address in ("bob@example.org", "eve@example.org")
        for chat in ("Harbour", "Pier")
    ]
    digest = next(r for r in server.inbox if r.mail["Subject"] == "Harbour")
    places = [digest.plain.index(f"no. {number}") for number in (1, 2, 3)]
    assert places == sorted(places)


async def test_a_new_message_waits_in_the_database_for_its_digest(
    opened: Open,
) -> None:
    async with (
        smtp_server.run() as server,
        opened(server.url(), SMTP_DIGEST_S="60") as channel,
    ):
        targets = mail_channel.targets("bob@example.org", attempts=0)

        reports = await mail_channel.send(channel, targets, created_at=utc_now())

    outcome = reports.by_device[1]
    assert outcome.kind is Kind.LATER
    assert 0 < (outcome.retry_after_s or 0) <= 60
    assert server.connections == []


async def test_a_message_that_would_expire_does_not_wait(opened: Open) -> None:
    async with (
        smtp_server.run() as server,
        opened(server.url(), SMTP_DIGEST_S="60") as channel,
    ):
        now = utc_now()
        targets = mail_channel.targets("bob@example.org", attempts=0)

        reports = await mail_channel.send(
            channel, targets, created_at=now, expires_at=now + timedelta(seconds=20)
        )

    assert reports.kinds() == ["accepted"]
    assert len(server.inbox) == 1


async def test_nothing_is_reported_before_the_server_has_taken_it(
    opened: Open,
) -> None:
    async with smtp_server.run() as server, opened(server.url()) as channel:
        server.gate.clear()
        reports = Reports()
        notification = channel.render(make_notification())
        send = asyncio.create_task(
            channel.send(notification, mail_channel.targets("bob@example.org"), reports)
        )

        await eventually(lambda: server.offered)

        assert reports.by_device == {}
        send.cancel()
        await asyncio.wait([send])
        assert reports.by_device == {}


async def test_a_channel_that_is_closed_lets_go_of_what_it_gathers(
    opened: Open,
) -> None:
    async with (
        smtp_server.run() as server,
        opened(server.url(), SMTP_DIGEST_S="60") as channel,
    ):
        send = asyncio.create_task(
            mail_channel.send(channel, mail_channel.targets("bob@example.org"))
        )
        await asyncio.sleep(0)

        await channel.close()

        with pytest.raises(ChannelDown, match="closed"):
            await send
    assert server.inbox == []
