"""The mail channel when the SMTP server refuses, fails or is unreachable."""

import asyncio

import pytest

from models.pushes import Target
from notifier.channels.email import connection, relay
from notifier.outcome import ChannelDown, Kind
from tests.support.email_service import EmailService, targets
from tests.support.notifications import make_target
from tests.support.wait import eventually

# -- refusals


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
async def test_a_refused_recipient_affects_no_other(
    email: EmailService, reply: str, kind: Kind
) -> None:
    email.server.to_recipient["bob@example.org"] = reply

    reports = await email.send(targets("bob@example.org", "eve@example.org"))

    assert reports.by_device[1].kind is kind
    assert reports.by_device[1].reason == reply
    assert reports.by_device[2].kind is Kind.ACCEPTED
    assert len(email.server.connections) == 1


@pytest.mark.parametrize(
    ("reply", "kind"), [("554 5.6.0 no", Kind.REFUSED), ("451 4.3.0 hm", Kind.LATER)]
)
async def test_a_refused_mail_does_not_make_the_address_dead(
    email: EmailService, reply: str, kind: Kind
) -> None:
    email.server.to_data = reply

    reports = await email.send(targets("bob@example.org"))

    assert reports.by_device[1].kind is kind


async def test_an_invalid_address_is_not_sent_to_the_server(
    email: EmailService,
) -> None:
    reports = await email.send(targets("bob@example.org> SIZE=1", "a@b.org"))

    assert reports.kinds() == ["suspect", "accepted"]
    assert [received.recipient for received in email.server.inbox] == ["a@b.org"]


async def test_a_server_that_refuses_everybody_alike_means_us(
    email: EmailService,
) -> None:
    addresses = [f"u{n}@x.example" for n in range(12)]
    for n, address in enumerate(addresses):
        email.server.to_recipient[address] = f"550 5.1.1 <{address}> is unknown ({n}a)"

    reports = await email.send(targets(*addresses))

    kinds = [reports.by_device[n].kind for n in range(1, 13)]
    assert kinds == [Kind.GONE] * 9 + [Kind.CREDENTIALS] * 3
    assert "u9@x.example" in (dict(email.troubles.reports)["email localhost"] or "")


NOT_OURS = "550 5.7.54 relaying denied"


async def test_one_address_whose_server_speaks_of_us_holds_up_nobody(
    email: EmailService,
) -> None:
    email.server.to_recipient["bob@example.org"] = NOT_OURS
    bob, eve = targets("bob@example.org", "eve@example.org")

    for _ in range(5):
        await email.send([bob])
        assert (await email.send([eve])).kinds() == ["accepted"]

    assert email.troubles.reasons() == []
    # It is suspect and not tried each time.
    assert email.server.senders < 10


async def test_a_small_installation_learns_that_it_may_not_relay(
    email: EmailService,
) -> None:
    email.server.to_recipient["bob@example.org"] = NOT_OURS

    first = await email.send(targets("bob@example.org"))
    at_first = email.troubles.reasons()
    await email.send(targets("bob@example.org", attempts=2))

    assert first.kinds() == ["credentials"]
    assert at_first == []
    assert len(email.troubles.reasons()) == 1


async def test_what_is_said_about_us_to_many_is_about_us(email: EmailService) -> None:
    addresses = [f"u{n}@x.example" for n in range(6)]
    email.server.to_recipient |= dict.fromkeys(addresses, NOT_OURS)

    reports = await email.send(targets(*addresses))

    assert set(reports.kinds()) == {"credentials"}
    assert email.server.senders == 3
    assert email.troubles.standing() == {"email localhost": NOT_OURS}


async def test_recipients_are_believed_while_others_get_their_mails(
    email: EmailService,
) -> None:
    unknown = [f"u{n}@x.example" for n in range(20)]
    for address in unknown:
        email.server.to_recipient[address] = "550 5.1.1 no such user"
    some = unknown[:8], unknown[8:14], unknown[14:]

    reports = await email.send(
        targets(*some[0], "a@x.example", *some[1], "b@x.example", *some[2])
    )

    assert set(reports.kinds()) == {"gone", "accepted"}


@pytest.mark.parametrize("offered", ["", "XOAUTH2", "CRAM-MD5X"])
async def test_a_server_without_a_login_of_ours_is_an_alarm(
    email: EmailService, offered: str
) -> None:
    email.server.user, email.server.password = "me", "secret"
    email.server.logins_offered = offered
    email.options = "?tls=none"

    reports = await email.send(targets("a@x.example", "b@x.example"))

    assert reports.kinds() == ["credentials"] * 2
    assert email.server.senders == 0
    assert dict(email.troubles.reports)["email localhost"]


async def test_the_name_of_the_greeting_is_a_setting(email: EmailService) -> None:
    email.configure(smtp_url=email.server.url(), smtp_ehlo="chat.harbour.example")

    await email.send(targets("a@x.example"))

    assert email.server.greeted_by == "chat.harbour.example"


# -- outages


async def test_a_failing_server_gets_one_request_for_the_whole_batch(
    email: EmailService,
) -> None:
    email.server.to_sender = "421 4.3.2 going down"

    with pytest.raises(ChannelDown, match="421"):
        await email.send(targets(*(f"u{n}@x.example" for n in range(20))))

    assert len(email.server.connections) == 1


async def test_a_connection_that_was_cut_between_mails_is_replaced(
    email: EmailService,
) -> None:
    await email.send(targets("a@x.example"))
    email.server.connections[0].transport.abort()

    reports = await email.send(targets("b@x.example"))

    assert reports.kinds() == ["accepted"]
    assert len(email.server.connections) == 2


async def test_a_connection_that_the_server_ends_between_mails_is_replaced(
    email: EmailService,
) -> None:
    await email.send(targets("a@x.example"))
    email.server.to_next_sender = "421 4.4.2 too many mails on one connection"

    reports = await email.send(targets("b@x.example"))

    assert reports.kinds() == ["accepted"]
    assert len(email.server.connections) == 2


async def test_a_server_that_does_not_reply_times_out(
    email: EmailService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "DATA_TIMEOUT_S", 0.2)
    email.server.gate.clear()

    with pytest.raises(ChannelDown, match="no answer in time"):
        await email.send(targets("a@x.example"))


async def test_a_mail_whose_reply_is_lost_is_not_sent_twice(
    email: EmailService,
) -> None:
    await email.send(targets("a@x.example"))
    email.server.gate.clear()
    send = asyncio.create_task(email.send(targets("b@x.example")))
    await eventually(lambda: email.server.offered == 2)

    email.server.connections[0].transport.abort()

    with pytest.raises(ChannelDown, match="lost"):
        await send
    assert email.server.offered == 2


async def test_an_idle_connection_is_closed(
    email: EmailService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_TIMEOUT_S", 0.05)
    await email.send(targets("a@x.example"))

    await eventually(lambda: email.server.connections[0].transport is None)

    assert (await email.send(targets("a@x.example"))).kinds() == ["accepted"]


# -- a server that is slow about one domain


@pytest.fixture
def slow(email: EmailService, monkeypatch: pytest.MonkeyPatch) -> EmailService:
    """The server waits for the test before it replies about slow.example."""
    monkeypatch.setattr(relay, "LATE_S", 1.0)
    email.server.slow_domain = "slow.example"
    email.server.gate.clear()
    return email


def numbered(*addresses: str, first: int) -> list[Target]:
    return [
        make_target(number, address, platform="email", attempts=1)
        for number, address in enumerate(addresses, start=first)
    ]


async def test_a_slow_domain_delays_no_mail_to_others(slow: EmailService) -> None:
    waiting = asyncio.create_task(slow.send(targets("bob@slow.example")))
    await eventually(lambda: slow.server.slow_waiting == 1)

    reports = await slow.send(numbered("eve@quick.example", first=2))

    assert reports.kinds() == ["accepted"]
    assert not waiting.done()
    slow.server.gate.set()
    assert (await waiting).kinds() == ["accepted"]
    # The connection of the slow mail is not kept.
    await eventually(lambda: len(open_connections(slow)) == 1)


async def test_a_slow_domain_has_one_connection_at_a_time_until_it_is_quick(
    slow: EmailService,
) -> None:
    first = asyncio.create_task(slow.send(targets("bob@slow.example")))
    await eventually(lambda: slow.server.slow_waiting == 1)
    await slow.send(numbered("eve@quick.example", first=2))

    reports = await slow.send(numbered("ada@slow.example", first=3))

    assert reports.kinds() == ["later"]
    assert not reports.by_device[3].tried
    slow.server.gate.set()
    await first
    for _ in range(2):
        again = await slow.send(numbered("ada@slow.example", first=3))
        assert again.kinds() == ["accepted"]


async def test_many_slow_domains_leave_the_usual_connection_to_others(
    slow: EmailService, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.server.slow_domain = ".slow.example"
    tasks = []
    for number in range(relay.MOST_SLOW):
        address = f"bob@d{number}.slow.example"
        tasks.append(asyncio.create_task(slow.send(numbered(address, first=number))))
        await eventually(lambda: slow.server.slow_waiting == len(tasks))
    quick = await slow.send(numbered("eve@quick.example", first=90))
    assert quick.kinds() == ["accepted"]

    # All of them are known to be slow by now, so no further one gets in the way.
    again = [
        await slow.send(numbered(f"ada@d{number}.slow.example", first=number))
        for number in range(relay.MOST_SLOW)
    ]

    assert {kind for reports in again for kind in reports.kinds()} == {"later"}
    assert len(slow.server.connections) == relay.MOST_SLOW + 1
    slow.server.gate.set()
    await asyncio.gather(*tasks)


async def test_a_domain_that_times_out_is_no_outage_of_the_server(
    slow: EmailService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "COMMAND_TIMEOUT_S", 4.0)
    waiting = asyncio.create_task(slow.send(targets("bob@slow.example")))
    await eventually(lambda: slow.server.slow_waiting == 1)
    await slow.send(numbered("eve@quick.example", first=2))

    timed_out = await waiting

    assert timed_out.kinds() == ["later"]
    assert timed_out.by_device[1].retry_after_s
    # The domain is left alone for a while, and nobody else is.
    resting = await slow.send(numbered("ada@slow.example", first=3))
    assert (resting.kinds(), resting.by_device[3].tried) == (["later"], False)
    others = await slow.send(numbered("eve@quick.example", first=4))
    assert others.kinds() == ["accepted"]


def open_connections(email: EmailService) -> list[object]:
    return [each for each in email.server.connections if each.transport is not None]
