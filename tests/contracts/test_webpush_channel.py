"""The web push channel against a push service that checks and decrypts."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from config import Settings, vapid
from models.base import utc_now
from notifier import channels
from notifier.outcome import Kind
from tests.support import push_service, webpush_channel
from tests.support.fake_provider import FakeTokens, RecordedTroubles
from tests.support.notifications import make_notification, make_target
from tests.support.push_service import Browser
from tests.support.webpush_channel import SUBJECT


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return webpush_channel.settings_in(tmp_path)


async def test_a_push_arrives_and_only_the_browser_can_read_it(
    settings: Settings,
) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        browser = service.subscribe(vapid.public_key(settings))

        reports = await webpush_channel.send(
            channel, webpush_channel.targets(browser), text="Ahoy 🚢"
        )

    assert reports.kinds() == ["accepted"]
    [delivered] = service.inbox
    assert delivered.payload["body"] == "Ahoy 🚢"
    assert b"Ahoy" not in delivered.body
    assert delivered.claims["aud"] == service.origin
    assert delivered.claims["sub"] == SUBJECT
    assert delivered.headers["topic"] == "message-7"


async def test_a_batch_shares_one_connection_and_one_signature(
    settings: Settings,
) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        browsers = [service.subscribe() for _ in range(200)]

        reports = await webpush_channel.send(
            channel, webpush_channel.targets(*browsers)
        )

    assert reports.kinds() == ["accepted"] * 200
    assert {id(delivered.browser) for delivered in service.inbox} == {
        id(browser) for browser in browsers
    }
    assert len(service.peer.visits) == 1
    assert len({d.headers["authorization"] for d in service.inbox}) == 1


async def test_every_try_of_a_message_has_the_same_topic(settings: Settings) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        [target] = webpush_channel.targets(service.subscribe())

        await webpush_channel.send(channel, [target])
        await webpush_channel.send(channel, [target._replace(attempts=1)])

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
async def test_a_services_answer_is_the_devices_outcome(
    settings: Settings, status: int, kind: Kind
) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        told, other = service.subscribe(), service.subscribe()
        service.tell(told, status, b"{}", retry_after="7")

        reports = await webpush_channel.send(
            channel, webpush_channel.targets(told, other)
        )

    outcome = reports.by_device[1]
    assert outcome.kind is kind
    assert outcome.retry_after_s == (7 if kind is Kind.LATER else None)
    assert reports.by_device[2].kind is Kind.ACCEPTED


async def test_a_browser_that_knows_another_key_is_its_own_trouble(
    settings: Settings,
) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        other_key = push_service.b64(Browser().point)
        stranger = service.subscribe(other_key)
        ours = service.subscribe(vapid.public_key(settings))

        first = await webpush_channel.send(
            channel, webpush_channel.targets(stranger, ours)
        )
        second = await webpush_channel.send(
            channel, webpush_channel.targets(stranger, ours)
        )

    assert first.kinds() == second.kinds() == ["suspect", "accepted"]


async def test_a_subscription_that_is_none_harms_no_other(settings: Settings) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        broken = make_target(9, '{"endpoint":"https://x.example/"}')

        reports = await webpush_channel.send(
            channel, [broken, *webpush_channel.targets(service.subscribe())]
        )

    assert reports.by_device[9].kind is Kind.SUSPECT
    assert reports.by_device[9].reason == "the subscription has no keys"
    assert reports.by_device[1].kind is Kind.ACCEPTED


def test_a_note_that_cannot_be_told_is_refused(settings: Settings) -> None:
    async def render() -> None:
        async with webpush_channel.opened(settings) as channel:
            channel.render(make_notification(data={"k": "x" * 4000}))

    with pytest.raises(ValueError, match="too long"):
        asyncio.run(render())


async def test_closing_twice_does_no_harm(settings: Settings) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        await webpush_channel.send(
            channel, webpush_channel.targets(service.subscribe())
        )

        await channel.close()


async def test_an_expired_message_is_delivered_now_or_never(
    settings: Settings,
) -> None:
    async with (
        push_service.run() as service,
        webpush_channel.opened(settings) as channel,
    ):
        browser = service.subscribe()

        await webpush_channel.send(
            channel, webpush_channel.targets(browser), expires_at=utc_now()
        )

    assert service.inbox[0].headers["ttl"] == "0"


async def test_a_key_that_cannot_be_read_keeps_the_devices(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "own.pem"
    file.write_text("no key")
    async with webpush_channel.opened(
        replace(settings, vapid_key_file=file)
    ) as channel:
        reports = await webpush_channel.send(
            channel, webpush_channel.targets(Browser())
        )

    assert reports.kinds() == ["credentials"]
    assert "own.pem" in reports.by_device[1].reason


def test_without_a_contact_there_is_no_web_push(settings: Settings) -> None:
    silent = replace(settings, vapid_subject=None)

    assert "webpush" not in channels.create(silent, FakeTokens(), RecordedTroubles())
