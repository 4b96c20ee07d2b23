"""Several messages in one mail, without losing any."""

import asyncio
from datetime import timedelta

import pytest

from models.base import utc_now
from notifier.outcome import ChannelDown, Kind
from tests.support.email_service import EmailService, targets


@pytest.fixture
def digests(email: EmailService) -> EmailService:
    """The channel with a digest for each minute."""
    email.configure(smtp_digest_s=60.0)
    return email


async def test_messages_of_a_conversation_come_in_one_mail(
    digests: EmailService,
) -> None:
    to = targets("bob@example.org", "eve@example.org")
    notifications = [{"message_id": n, "seq": n, "text": f"no. {n}"} for n in (3, 1, 2)]
    elsewhere = {"chat_id": 4, "chat_name": "Pier", "message_id": 9, "seq": 1}

    reports = await asyncio.gather(
        *(digests.send(to, **changes) for changes in [*notifications, elsewhere])
    )

    assert [report.kinds() for report in reports] == [["accepted"] * 2] * 4
    inbox = digests.server.inbox
    assert sorted((mail.recipient, mail.mail["Subject"]) for mail in inbox) == [
        (address, chat)
        for address in ("bob@example.org", "eve@example.org")
        for chat in ("Harbour", "Pier")
    ]
    digest = next(mail for mail in inbox if mail.mail["Subject"] == "Harbour")
    places = [digest.plain.index(f"no. {number}") for number in (1, 2, 3)]
    assert places == sorted(places)


async def test_a_new_message_waits_in_the_database_for_its_digest(
    digests: EmailService,
) -> None:
    first_try = targets("bob@example.org", attempts=0)

    reports = await digests.send(first_try, created_at=utc_now())

    outcome = reports.by_device[1]
    assert outcome.kind is Kind.LATER
    assert 0 < (outcome.retry_after_s or 0) <= 60
    assert digests.server.connections == []


async def test_a_message_that_would_expire_does_not_wait(
    digests: EmailService,
) -> None:
    now = utc_now()
    first_try = targets("bob@example.org", attempts=0)

    reports = await digests.send(
        first_try, created_at=now, expires_at=now + timedelta(seconds=20)
    )

    assert reports.kinds() == ["accepted"]
    assert len(digests.server.inbox) == 1


async def test_closing_abandons_a_digest_that_is_being_collected(
    digests: EmailService,
) -> None:
    send = asyncio.create_task(digests.send(targets("bob@example.org")))
    await asyncio.sleep(0)

    await digests.channel.close()

    with pytest.raises(ChannelDown, match="closed"):
        await send
    assert digests.server.inbox == []
