"""The contract of a channel (`notifier.channels.Channel`), for every channel.

A new channel needs a fixture with the platform's name in conftest.py: a ChannelService.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from models.base import utc_now
from models.pushes import READ, WITHDRAW, Target
from notifier.channels import breaker
from notifier.channels.registry import REGISTRY
from notifier.channels.webpush import push_services
from notifier.outcome import ACCEPTED, ChannelDown, Kind
from tests.support.channel_service import ChannelService
from tests.support.notifications import Reports, make_notification
from tests.support.wait import eventually


@pytest.fixture(params=REGISTRY)
def service(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> ChannelService:
    # Otherwise the refusals of the web push service are no alarm.
    monkeypatch.setattr(push_services, "KNOWN_HOSTS", ("localhost",))
    found: ChannelService = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker probes after 50 ms."""
    monkeypatch.setattr(breaker, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(breaker, "CREDENTIALS_PAUSE_S", 0.05)


async def test_every_device_gets_its_push_once(service: ChannelService) -> None:
    devices = [service.device(number) for number in range(1, 4)]

    reports = await service.send(devices)

    assert reports.kinds() == ["accepted"] * 3
    assert sorted(service.accepted()) == [1, 2, 3]


@pytest.mark.parametrize("kind", [Kind.GONE, Kind.SUSPECT, Kind.REFUSED, Kind.LATER])
async def test_the_outcome_of_one_device_does_not_affect_the_others(
    service: ChannelService, kind: Kind
) -> None:
    devices = [service.device(1), service.device(2, kind), service.device(3)]

    reports = await service.send(devices)

    assert reports.kinds() == ["accepted", kind, "accepted"]
    assert reports.by_device[2].reason
    assert sorted(service.accepted()) == [1, 3]


async def test_later_has_the_pause_that_the_provider_asks_for(
    service: ChannelService,
) -> None:
    outcome = (await service.send([service.device(1, Kind.LATER)])).by_device[1]

    assert outcome.kind is Kind.LATER
    assert outcome.retry_after_s == (30 if service.has_retry_after else None)


async def test_many_devices_of_all_kinds_get_their_own_outcomes(
    service: ChannelService,
) -> None:
    other = [Kind.GONE, Kind.LATER, Kind.SUSPECT, Kind.REFUSED]
    expected = [
        Kind.ACCEPTED if number % 10 else other[number // 10 % 4]
        for number in range(service.many)
    ]
    devices = [service.device(number, kind) for number, kind in enumerate(expected)]

    reports = await service.send(devices)

    assert reports.kinds() == expected
    assert len(service.accepted()) == expected.count(Kind.ACCEPTED)


@pytest.mark.parametrize(
    "changes",
    [
        {"silent": True},
        {"kind": WITHDRAW},
        {"kind": READ},
        {"text": "🚢" * 4000},
        {"text": "\x00\x1f\x7f" * 1300, "sender_name": "\ud800" * 200},
        {"text": "", "sender_name": "", "chat_name": ""},
        {"data": {"k" * n: "v" * 20 for n in range(1, 20)}},
        {"expires_at": utc_now() - timedelta(seconds=5)},
        {"expires_at": utc_now() + timedelta(days=20_000)},
    ],
    ids=[
        "silent",
        "withdraw",
        "read",
        "long",
        "control characters",
        "empty",
        "data",
        "expired",
        "far future",
    ],
)
async def test_the_provider_accepts_whatever_is_rendered(
    service: ChannelService, changes: dict[str, Any]
) -> None:
    if changes == service.unsendable:
        # See the next test.
        return

    reports = await service.send([service.device(1)], **changes)

    assert reports.by_device[1] == ACCEPTED


async def test_what_can_never_be_sent_is_refused_by_render(
    service: ChannelService,
) -> None:
    with pytest.raises(ValueError, match=r"too long|silent"):
        service.channel.render(make_notification(**service.unsendable))

    assert service.request_count() == 0


async def test_concurrent_pushes_share_the_channel(service: ChannelService) -> None:
    pushes = [service.send([service.device(n)], message_id=n) for n in range(1, 9)]

    reports = await asyncio.gather(*pushes)

    assert [report.kinds() for report in reports] == [["accepted"]] * 8
    assert sorted(service.accepted()) == list(range(1, 9))


async def test_refused_credentials_keep_the_devices_and_are_reported_once(
    service: ChannelService,
) -> None:
    devices = [service.device(number) for number in range(1, 4)]
    service.refuse_credentials()

    first = await service.send(devices)
    requests = service.request_count()
    second = await service.send(devices)

    assert first.kinds() == second.kinds() == ["credentials"] * 3
    assert len(service.troubles.reasons()) == 1
    # The breaker is open, so the second time nothing was sent.
    assert service.request_count() == requests <= len(devices)


async def test_credentials_that_work_again_are_noticed_by_a_probe(
    service: ChannelService, short_pauses: None
) -> None:
    service.refuse_credentials()
    await service.send([service.device(number) for number in (1, 2, 3)])
    service.refuse_credentials(refuse=False)
    await asyncio.sleep(0.1)

    reports = await service.send([service.device(4), service.device(5)])

    assert reports.kinds() == ["accepted"] * 2
    assert len(service.troubles.reasons()) == 1
    assert service.troubles.standing() == {}


async def test_an_outage_is_no_outcome_and_no_credentials_problem(
    service: ChannelService,
) -> None:
    device = service.device(1)
    await service.stop()
    try:
        reports = Reports()
        rendered = service.channel.render(make_notification())
        if service.has_one_provider:
            with pytest.raises(ChannelDown):
                await service.channel.send(rendered, [device], reports)
            assert reports.by_device == {}
        else:
            await service.channel.send(rendered, [device], reports)
            assert reports.kinds() == ["later"]
        standing = service.troubles.standing()
    finally:
        await service.start()

    assert len(standing) == 1
    assert all(name.startswith(service.platform) for name in standing)
    await until_accepted(service, device)
    assert service.troubles.standing() == {}


async def until_accepted(service: ChannelService, device: Target) -> None:
    """Push until the pause after the outage is over."""
    async with asyncio.timeout(60):
        while True:
            (outcome,) = await service.outcomes([device])
            if outcome.kind is Kind.ACCEPTED:
                return
            await asyncio.sleep(outcome.retry_after_s or 0.01)


async def test_a_provider_that_is_back_after_an_outage_is_found_by_a_probe(
    service: ChannelService, short_pauses: None
) -> None:
    devices = [service.device(number) for number in range(1, 4)]
    await service.stop()
    try:
        while_away = await service.outcomes(devices)
    finally:
        await service.start()

    async with asyncio.timeout(30):
        while (await service.outcomes(devices[:1]))[0].kind is not Kind.ACCEPTED:
            await asyncio.sleep(0.05)

    assert [outcome.kind for outcome in while_away] == ["later"] * 3
    assert (await service.send(devices)).kinds() == ["accepted"] * 3


async def test_a_cancelled_push_reports_nothing_and_leaves_the_channel_usable(
    service: ChannelService,
) -> None:
    reports = Reports()
    device = service.hanging_device(1)
    rendered = service.channel.render(make_notification())
    sending = asyncio.create_task(service.channel.send(rendered, [device], reports))
    await eventually(service.request_count)

    assert reports.by_device == {}
    sending.cancel()
    await asyncio.wait([sending])

    assert sending.cancelled()
    service.stop_hanging()
    assert (await service.send([service.device(2)])).kinds() == ["accepted"]
    assert reports.by_device == {}


async def test_closing_ends_a_push_that_hangs(service: ChannelService) -> None:
    reports = Reports()
    device = service.hanging_device(1)
    rendered = service.channel.render(make_notification())
    sending = asyncio.create_task(service.channel.send(rendered, [device], reports))
    await eventually(service.request_count)

    await service.channel.close()

    async with asyncio.timeout(5):
        await asyncio.wait([sending])
    assert not sending.cancelled()
    assert isinstance(sending.exception(), ChannelDown | None)
    assert {outcome.kind for outcome in reports.by_device.values()} <= {Kind.LATER}


async def test_a_channel_may_be_closed_twice(service: ChannelService) -> None:
    await service.send([service.device(1)])

    await service.channel.close()
    await service.channel.close()

    assert service.accepted() == [1]
