"""Web pushes as a push service receives them, which checks and decrypts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.base import utc_now
from notifier.channels import push_ids, registry
from notifier.channels.webpush import payload
from notifier.outcome import Kind
from sandbox.browsers import rules
from sandbox.browsers.browser import Browser, b64
from tests.support.fake_provider import FakeTokens, RecordedTroubles
from tests.support.notifications import make_notification, make_target
from tests.support.sandbox_browsers import SandboxBrowsers, targets


async def test_a_push_arrives_as_the_browser_decrypts_it(
    browsers: SandboxBrowsers,
) -> None:
    browser = browsers.subscribe()

    await browsers.send(targets(browser), text="Ahoy 🚢")

    [push] = browsers.inbox()
    assert push["token"] == browser.token
    assert push["payload"]["body"] == "Ahoy 🚢"
    assert push["headers"]["topic"] == push_ids.topic(make_notification())


async def test_a_batch_shares_one_connection_and_one_signature(
    browsers: SandboxBrowsers,
) -> None:
    many = [browsers.subscribe() for _ in range(200)]

    reports = await browsers.send(targets(*many))

    assert reports.kinds() == ["accepted"] * 200
    pushed = {push["token"] for push in browsers.inbox()}
    assert pushed == {browser.token for browser in many}
    assert browsers.connections_opened() == 1
    assert browsers.sandbox.stats()["webpush_jwts_seen"] == 1


async def test_every_try_of_a_message_has_the_same_topic(
    browsers: SandboxBrowsers,
) -> None:
    [target] = targets(browsers.subscribe())

    await browsers.send([target])
    await browsers.send([target._replace(attempts=1)])

    topics = [push["headers"]["topic"] for push in browsers.inbox()]
    assert len(topics) == 2
    assert len(set(topics)) == 1


async def test_an_expired_message_is_delivered_now_or_never(
    browsers: SandboxBrowsers,
) -> None:
    await browsers.send(targets(browsers.subscribe()), expires_at=utc_now())

    assert browsers.inbox()[0]["headers"]["ttl"] == "0"


@pytest.mark.parametrize("manner", rules.MANNERS)
async def test_every_service_takes_a_message_at_once_and_for_weeks(
    browsers: SandboxBrowsers, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    # Edge's rule about a push that shall not be kept.
    monkeypatch.setattr(payload, "EDGE", "localhost")
    to = targets(browsers.subscribe(manner=manner))

    for expires_at in (utc_now(), utc_now() + timedelta(days=60)):
        reports = await browsers.send(to, expires_at=expires_at)

        assert reports.kinds() == ["accepted"]


@pytest.mark.parametrize("manner", rules.MANNERS)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unregistered", Kind.GONE),
        ("bad-token", Kind.GONE),
        ("sender-mismatch", Kind.SUSPECT),
        ("payload-too-large", Kind.REFUSED),
        ("unknown-reason", Kind.REFUSED),
        ("third-party-auth", Kind.CREDENTIALS),
        ("429", Kind.LATER),
        ("throttled", Kind.LATER),
        ("503-after", Kind.LATER),
        ("503-date", Kind.LATER),
        ("500", Kind.LATER),
        ("no-subscriber", Kind.LATER),
        ("answer-425", Kind.LATER),
    ],
)
async def test_every_service_is_understood_in_its_own_words(
    browsers: SandboxBrowsers, manner: str, name: str, kind: Kind
) -> None:
    browsers.sandbox.control(retry_after_s=7)
    refused = browsers.subscribe(name, manner=manner)

    reports = await browsers.send(targets(refused, browsers.subscribe(manner=manner)))

    outcome = reports.by_device[1]
    assert outcome.kind is kind
    has_pause = name in ("429", "throttled", "503-after")
    assert not has_pause or outcome.retry_after_s == 7
    assert reports.by_device[2].kind is Kind.ACCEPTED


async def test_a_text_that_is_too_long_for_a_service_arrives_cut(
    browsers: SandboxBrowsers,
) -> None:
    """Firefox for Android has less space, because its pushes go through FCM."""
    phone = browsers.subscribe(manner="mozilla-phone")
    desktop, other = (browsers.subscribe(manner="mozilla") for _ in range(2))

    reports = await browsers.send(targets(phone, desktop, other), text="ß" * 1900)

    assert reports.kinds() == ["accepted"] * 3
    bodies = {push["token"]: push["payload"]["body"] for push in browsers.inbox()}
    assert bodies[desktop.token] == "ß" * 1900
    assert bodies[phone.token].endswith("ß…")
    assert len(bodies[phone.token]) > 1000


async def test_a_push_that_is_always_too_long_is_refused(
    browsers: SandboxBrowsers,
) -> None:
    phone = browsers.subscribe("payload-too-large")

    reports = await browsers.send(targets(phone), text="ß" * 1900)

    assert reports.by_device[1].kind is Kind.REFUSED
    assert browsers.request_count() == 2


@pytest.mark.parametrize("manner", rules.MANNERS)
async def test_a_browser_that_subscribed_with_another_key_affects_no_other(
    browsers: SandboxBrowsers, manner: str
) -> None:
    foreign = browsers.subscribe(manner=manner, server_key=b64(Browser().point))
    ours = browsers.subscribe(manner=manner)

    first = await browsers.send(targets(foreign, ours))
    second = await browsers.send(targets(foreign, ours))

    assert first.kinds() == second.kinds() == ["suspect", "accepted"]


async def test_an_invalid_subscription_affects_no_other(
    browsers: SandboxBrowsers,
) -> None:
    broken = make_target(9, '{"endpoint":"https://x.example/"}')

    reports = await browsers.send([broken, *targets(browsers.subscribe())])

    assert reports.by_device[9].kind is Kind.SUSPECT
    assert reports.by_device[9].reason == "the subscription has no keys"
    assert reports.by_device[1].kind is Kind.ACCEPTED


async def test_an_unreadable_key_keeps_the_devices(browsers: SandboxBrowsers) -> None:
    file = browsers.settings.run_dir / "own.pem"
    file.write_text("no key")
    browsers.configure(vapid_key_file=file)

    reports = await browsers.send(targets(Browser()))

    assert reports.kinds() == ["credentials"]
    assert "own.pem" in reports.by_device[1].reason


async def test_without_a_contact_there_is_no_web_push(
    browsers: SandboxBrowsers,
) -> None:
    settings = replace(browsers.settings, vapid_subject=None)

    created = registry.create(settings, FakeTokens(), RecordedTroubles())

    assert "webpush" not in created
