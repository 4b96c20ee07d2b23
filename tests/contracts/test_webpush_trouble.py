"""Push services that are down, silent, private or hostile, among good ones."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from config import Settings
from notifier.channels import breaker
from notifier.channels.webpush import push_services
from notifier.channels.webpush.resolver import Resolver
from notifier.outcome import ChannelDown, Kind
from tests.support import push_service, tls, webpush_channel
from tests.support.fake_provider import RecordedTroubles
from tests.support.notifications import Reports, make_notification
from tests.support.push_service import Browser
from tests.support.wait import eventually


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return webpush_channel.settings_in(tmp_path)


async def test_a_service_that_cannot_be_reached_harms_no_other(
    settings: Settings,
) -> None:
    async with push_service.run() as closed:
        dead = closed.subscribe()
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        reports = await webpush_channel.send(
            channel, webpush_channel.targets(dead, service.subscribe())
        )

    assert reports.kinds() == ["later", "accepted"]
    assert str(closed.peer.port) in reports.by_device[1].reason


async def test_a_service_that_is_down_is_left_alone_for_a_while(
    settings: Settings,
) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        browsers = [service.subscribe() for _ in range(30)]
        for browser in browsers:
            service.tell(browser, 503, retry_after="60")

        first = await webpush_channel.send(channel, webpush_channel.targets(*browsers))
        second = await webpush_channel.send(channel, webpush_channel.targets(*browsers))

    assert set(first.kinds()) == set(second.kinds()) == {"later"}
    assert len(service.seen) == 30
    assert all(outcome.retry_after_s for outcome in second.by_device.values())


async def test_a_service_that_does_not_answer_keeps_no_other_waiting(
    settings: Settings,
) -> None:
    async with (
        push_service.run() as silent,
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        waiting = silent.subscribe()
        silent.silent.add(waiting.endpoint.removeprefix(silent.origin))
        targets = webpush_channel.targets(waiting, service.subscribe())
        reports = Reports()

        send = asyncio.create_task(
            channel.send(channel.render(make_notification()), targets, reports)
        )
        await eventually(lambda: silent.seen and 2 in reports.by_device)

        assert reports.by_device[2].kind is Kind.ACCEPTED
        assert 1 not in reports.by_device
        send.cancel()
        await asyncio.wait([send])


async def test_a_service_without_an_answer_is_tried_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "REQUEST_TIMEOUT_S", 0.3)
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        browser = service.subscribe()
        service.silent.add(browser.endpoint.removeprefix(service.origin))

        reports = await webpush_channel.send(channel, webpush_channel.targets(browser))

    assert reports.kinds() == ["later"]


async def test_a_private_address_is_never_connected_to(settings: Settings) -> None:
    strict = replace(settings, webpush_allow=())
    async with push_service.run() as service, webpush_channel.opened(strict) as channel:
        reports = await webpush_channel.send(
            channel, webpush_channel.targets(service.subscribe())
        )

    assert reports.by_device[1].kind is Kind.SUSPECT
    assert "no address on the Internet" in reports.by_device[1].reason
    assert service.peer.visits == []


async def test_a_name_that_turns_private_after_the_check_is_not_connected_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([["1.1.1.1"], ["127.0.0.1"], ["127.0.0.1"]])

    async def rebound(self: Resolver, host: str, port: int) -> list[str]:
        return next(answers)

    monkeypatch.setattr(Resolver, "_look_up", rebound)
    strict = replace(settings, webpush_allow=())
    async with push_service.run() as service, webpush_channel.opened(strict) as channel:
        reports = await webpush_channel.send(
            channel, webpush_channel.targets(service.subscribe())
        )

    assert reports.kinds() == ["later"]
    assert next(answers) == ["127.0.0.1"]
    assert service.peer.visits == []


async def test_a_strangers_word_on_our_key_alarms_nobody(settings: Settings) -> None:
    troubles = RecordedTroubles()
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings, troubles) as channel,
    ):
        browser = service.subscribe()
        service.tell(browser, 401, b"no")

        reports = await webpush_channel.send(channel, webpush_channel.targets(browser))
    assert reports.kinds() == ["credentials"]
    assert troubles.reports == []


async def test_a_browsers_service_that_refuses_our_key_is_an_alarm(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "KNOWN_HOSTS", ("localhost",))
    troubles = RecordedTroubles()
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings, troubles) as channel,
    ):
        browser = service.subscribe()
        service.tell(browser, 403, b'{"reason":"BadJwtToken"}')

        await webpush_channel.send(channel, webpush_channel.targets(browser))
    assert troubles.reports[0] == (f"webpush {service.origin}", "403 BadJwtToken")


async def test_services_not_used_for_longest_are_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "MAX_OPEN_SERVICES", 1)
    async with (
        push_service.run() as first,
        push_service.run() as second,
        webpush_channel.opened(settings) as channel,
    ):
        for service in (first, second, first):
            reports = await webpush_channel.send(
                channel, webpush_channel.targets(service.subscribe())
            )
            assert reports.kinds() == ["accepted"]

        await eventually(lambda: first.peer.visits[0].lost)
        assert [len(s.peer.visits) for s in (first, second)] == [2, 1]


async def test_a_service_in_use_is_not_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "MAX_OPEN_SERVICES", 1)
    async with (
        push_service.run() as busy,
        push_service.run() as other,
        webpush_channel.opened(settings) as channel,
    ):
        browser = busy.subscribe()
        busy.silent.add(browser.endpoint.removeprefix(busy.origin))
        waiting = asyncio.create_task(
            webpush_channel.send(channel, webpush_channel.targets(browser))
        )
        await eventually(lambda: busy.held)
        for service in (other, busy):
            targets = webpush_channel.targets(service.subscribe())
            await webpush_channel.send(channel, targets)

        busy.held[0].answer(201)

        assert (await waiting).kinds() == ["accepted"]
        assert len(busy.peer.visits) == 1


async def test_more_strangers_than_places_are_served_in_turn(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "MAX_UNKNOWN_SERVICES", 1)
    async with (
        push_service.run() as first,
        push_service.run() as second,
        webpush_channel.opened(settings) as channel,
    ):
        browsers = [s.subscribe() for s in (first, second, first, second)]

        reports = await webpush_channel.send(
            channel, webpush_channel.targets(*browsers)
        )

    assert reports.kinds() == ["accepted"] * 4


async def test_a_name_that_leads_nowhere_is_not_looked_up_for_each_message(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def nowhere(self: Resolver, host: str, port: int) -> list[str]:
        looked_up.append(host)
        raise ChannelDown(f"{host}: no such name")

    monkeypatch.setattr(Resolver, "_look_up", nowhere)
    monkeypatch.setattr(breaker, "FIRST_PAUSE_S", 60.0)
    async with webpush_channel.opened(settings) as channel:
        targets = webpush_channel.targets(Browser("https://nowhere.example/b"))

        for _ in range(3):
            reports = await webpush_channel.send(channel, targets)

    assert reports.kinds() == ["later"]
    assert "no such name" in reports.by_device[1].reason
    assert looked_up == ["nowhere.example"]


async def test_a_private_authority_leaves_the_public_ones_believed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test's authority is the one that everybody knows, and ours is another.
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority().ca_file))
    settings = replace(settings, ca_file=tls.make_authority().ca_file)
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        to = webpush_channel.targets(service.subscribe())

        reports = await webpush_channel.send(channel, to)

    assert reports.kinds() == ["accepted"]
