"""The web push channel against a push service that checks and decrypts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import config
from config import Settings, vapid
from models.base import utc_now
from models.pushes import Target
from notifier import channels
from notifier.channels import Channel, webpush_origins
from notifier.channels.webpush_names import Names
from notifier.outcome import Kind
from tests.support import aio, push_service, tls
from tests.support.aio import coroutine_test
from tests.support.push_service import Browser
from tests.support.pushes import (
    NotedTroubles,
    Reports,
    ToldTokens,
    make_note,
    make_target,
)

SUBJECT = "mailto:ops@example.org"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return config.from_env(
        {
            "BOTTLEPOST_RUN_DIR": str(tmp_path),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
            "BOTTLEPOST_VAPID_SUBJECT": SUBJECT,
            "BOTTLEPOST_WEBPUSH_ALLOW": "localhost",
        }
    )


@asynccontextmanager
async def _open(
    settings: Settings, troubles: NotedTroubles | None = None
) -> AsyncIterator[Channel]:
    channel = channels.open(settings, ToldTokens(), troubles)["webpush"]
    try:
        yield channel
    finally:
        await channel.close()


def _targets(*browsers: Browser) -> list[Target]:
    return [
        make_target(number, browser.token, platform="webpush")
        for number, browser in enumerate(browsers, start=1)
    ]


async def _send(channel: Channel, targets: list[Target], **changes: Any) -> Reports:
    reports = Reports()
    await channel.send(channel.render(make_note(**changes)), targets, reports)
    return reports


@coroutine_test
async def test_a_push_arrives_and_only_the_browser_can_read_it(
    settings: Settings,
) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        browser = service.subscribe(vapid.public_key(settings))

        reports = await _send(channel, _targets(browser), text="Ahoy 🚢")

    assert reports.kinds() == ["accepted"]
    [delivered] = service.inbox
    assert delivered.payload["body"] == "Ahoy 🚢"
    assert b"Ahoy" not in delivered.body
    assert delivered.claims["aud"] == service.origin
    assert delivered.claims["sub"] == SUBJECT
    assert delivered.headers["topic"] == "message-7"


@coroutine_test
async def test_a_batch_shares_one_connection_and_one_signature(
    settings: Settings,
) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        browsers = [service.subscribe() for _ in range(200)]

        reports = await _send(channel, _targets(*browsers))

    assert reports.kinds() == ["accepted"] * 200
    assert {id(delivered.browser) for delivered in service.inbox} == {
        id(browser) for browser in browsers
    }
    assert len(service.peer.visits) == 1
    assert len({d.headers["authorization"] for d in service.inbox}) == 1


@coroutine_test
async def test_every_try_of_a_message_has_the_same_topic(settings: Settings) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        [target] = _targets(service.subscribe())

        await _send(channel, [target])
        await _send(channel, [target._replace(attempts=1)])

    assert [d.headers["topic"] for d in service.inbox] == ["message-7"] * 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.ACCEPTED),
        (202, Kind.ACCEPTED),
        (404, Kind.GONE),
        (410, Kind.GONE),
        (413, Kind.REFUSED),
        (400, Kind.REFUSED),
        (401, Kind.CREDENTIALS),
        (403, Kind.CREDENTIALS),
        (429, Kind.LATER),
        (500, Kind.LATER),
        (503, Kind.LATER),
    ],
)
@coroutine_test
async def test_a_services_answer_is_the_devices_outcome(
    settings: Settings, status: int, kind: Kind
) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        told, other = service.subscribe(), service.subscribe()
        service.tell(told, status, b"{}", retry_after="7")

        reports = await _send(channel, _targets(told, other))

    outcome = reports.by_device[1]
    assert outcome.kind is kind
    assert outcome.retry_after_s == (7 if kind is Kind.LATER else None)
    assert reports.by_device[2].kind is Kind.ACCEPTED


@coroutine_test
async def test_a_browser_that_knows_another_key_is_its_own_trouble(
    settings: Settings,
) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        other_key = push_service.b64(Browser().point)
        stranger = service.subscribe(other_key)
        ours = service.subscribe(vapid.public_key(settings))

        first = await _send(channel, _targets(stranger, ours))
        second = await _send(channel, _targets(stranger, ours))

        assert channel.trouble() is None
    assert first.kinds() == second.kinds() == ["suspect", "accepted"]


@coroutine_test
async def test_a_subscription_that_is_none_harms_no_other(settings: Settings) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        broken = make_target(9, '{"endpoint":"https://x.example/"}')

        reports = await _send(channel, [broken, *_targets(service.subscribe())])

    assert reports.by_device[9].kind is Kind.SUSPECT
    assert reports.by_device[9].reason == "the subscription has no keys"
    assert reports.by_device[1].kind is Kind.ACCEPTED


@coroutine_test
async def test_a_service_that_cannot_be_reached_harms_no_other(
    settings: Settings,
) -> None:
    async with push_service.run() as closed:
        dead = closed.subscribe()
    async with push_service.run() as service, _open(settings) as channel:
        reports = await _send(channel, _targets(dead, service.subscribe()))

    assert reports.kinds() == ["later", "accepted"]
    assert str(closed.peer.port) in reports.by_device[1].reason


@coroutine_test
async def test_a_service_that_is_down_is_left_alone_for_a_while(
    settings: Settings,
) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        browsers = [service.subscribe() for _ in range(30)]
        for browser in browsers:
            service.tell(browser, 503)

        first = await _send(channel, _targets(*browsers))
        second = await _send(channel, _targets(*browsers))

    assert set(first.kinds()) == set(second.kinds()) == {"later"}
    assert len(service.seen) == 30
    assert all(outcome.retry_after_s for outcome in second.by_device.values())


@coroutine_test
async def test_a_service_that_does_not_answer_keeps_no_other_waiting(
    settings: Settings,
) -> None:
    async with (
        push_service.run() as silent,
        push_service.run() as service,
        _open(settings) as channel,
    ):
        waiting = silent.subscribe()
        silent.silent.add(waiting.endpoint.removeprefix(silent.origin))
        targets = _targets(waiting, service.subscribe())
        reports = Reports()

        send = asyncio.create_task(
            channel.send(channel.render(make_note()), targets, reports)
        )
        await aio.until(lambda: silent.seen and 2 in reports.by_device)

        assert reports.by_device[2].kind is Kind.ACCEPTED
        assert 1 not in reports.by_device
        send.cancel()
        await asyncio.wait([send])


@coroutine_test
async def test_a_service_without_an_answer_is_tried_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush_origins, "REQUEST_TIMEOUT_S", 0.3)
    async with push_service.run() as service, _open(settings) as channel:
        browser = service.subscribe()
        service.silent.add(browser.endpoint.removeprefix(service.origin))

        reports = await _send(channel, _targets(browser))

    assert reports.kinds() == ["later"]


@coroutine_test
async def test_a_private_address_is_never_connected_to(settings: Settings) -> None:
    strict = replace(settings, webpush_allow=())
    async with push_service.run() as service, _open(strict) as channel:
        reports = await _send(channel, _targets(service.subscribe()))

    assert reports.by_device[1].kind is Kind.SUSPECT
    assert "no address on the Internet" in reports.by_device[1].reason
    assert service.peer.visits == []


@coroutine_test
async def test_a_name_that_turns_private_after_the_check_is_not_connected_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([["1.1.1.1"], ["127.0.0.1"], ["127.0.0.1"]])

    async def rebound(self: Names, host: str, port: int) -> list[str]:
        return next(answers)

    monkeypatch.setattr(Names, "_look_up", rebound)
    strict = replace(settings, webpush_allow=())
    async with push_service.run() as service, _open(strict) as channel:
        reports = await _send(channel, _targets(service.subscribe()))

    assert reports.kinds() == ["later"]
    assert next(answers) == ["127.0.0.1"]
    assert service.peer.visits == []


@coroutine_test
async def test_a_strangers_word_on_our_key_alarms_nobody(settings: Settings) -> None:
    troubles = NotedTroubles()
    async with push_service.run() as service, _open(settings, troubles) as channel:
        browser = service.subscribe()
        service.tell(browser, 401, b"no")

        reports = await _send(channel, _targets(browser))

        assert channel.trouble() is None
    assert reports.kinds() == ["credentials"]
    assert troubles.notes == []


@coroutine_test
async def test_a_browsers_service_that_refuses_our_key_is_an_alarm(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush_origins, "BROWSERS", ("localhost",))
    troubles = NotedTroubles()
    async with push_service.run() as service, _open(settings, troubles) as channel:
        browser = service.subscribe()
        service.tell(browser, 403, b'{"reason":"BadJwtToken"}')

        await _send(channel, _targets(browser))

        assert "BadJwtToken" in (channel.trouble() or "")
    assert troubles.notes == [(f"webpush {service.origin}", "403 BadJwtToken")]


@coroutine_test
async def test_services_not_used_for_longest_are_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush_origins, "MAX_KEPT", 1)
    async with (
        push_service.run() as first,
        push_service.run() as second,
        _open(settings) as channel,
    ):
        for service in (first, second, first):
            reports = await _send(channel, _targets(service.subscribe()))
            assert reports.kinds() == ["accepted"]

        await aio.until(lambda: first.peer.visits[0].lost)
        assert [len(s.peer.visits) for s in (first, second)] == [2, 1]


@coroutine_test
async def test_more_strangers_than_places_are_served_in_turn(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webpush_origins, "MAX_STRANGERS", 1)
    async with (
        push_service.run() as first,
        push_service.run() as second,
        _open(settings) as channel,
    ):
        browsers = [s.subscribe() for s in (first, second, first, second)]

        reports = await _send(channel, _targets(*browsers))

    assert reports.kinds() == ["accepted"] * 4


def test_a_note_that_cannot_be_told_is_refused(settings: Settings) -> None:
    async def render() -> None:
        async with _open(settings) as channel:
            channel.render(make_note(data={"k": "x" * 4000}))

    with pytest.raises(ValueError, match="too long"):
        asyncio.run(render())


@coroutine_test
async def test_closing_twice_does_no_harm(settings: Settings) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        await _send(channel, _targets(service.subscribe()))

        await channel.close()


@coroutine_test
async def test_an_expired_message_is_delivered_now_or_never(
    settings: Settings,
) -> None:
    async with push_service.run() as service, _open(settings) as channel:
        browser = service.subscribe()

        await _send(channel, _targets(browser), expires_at=utc_now())

    assert service.inbox[0].headers["ttl"] == "0"


@coroutine_test
async def test_a_key_that_cannot_be_read_keeps_the_devices(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "own.pem"
    file.write_text("no key")
    async with _open(replace(settings, vapid_key_file=file)) as channel:
        reports = await _send(channel, _targets(Browser()))

    assert reports.kinds() == ["credentials"]
    assert "own.pem" in reports.by_device[1].reason


def test_without_a_contact_there_is_no_web_push(settings: Settings) -> None:
    silent = replace(settings, vapid_subject=None)

    assert "webpush" not in channels.open(silent, ToldTokens())
