"""Web pushes as a push service receives them, which checks and decrypts."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from config import vapid
from models.base import utc_now
from notifier.channels import push_ids, registry
from notifier.outcome import Kind
from tests.support import push_service
from tests.support.fake_provider import FakeTokens, RecordedTroubles
from tests.support.notifications import make_notification, make_target
from tests.support.push_service import Browser
from tests.support.webpush_service import SUBJECT, WebpushService, targets


async def test_a_push_arrives_and_only_the_browser_can_read_it(
    webpush: WebpushService,
) -> None:
    browser = webpush.server.subscribe(vapid.public_key(webpush.settings))

    await webpush.send(targets(browser), text="Ahoy 🚢")

    [delivered] = webpush.server.inbox
    assert delivered.payload["body"] == "Ahoy 🚢"
    assert b"Ahoy" not in delivered.body
    assert delivered.claims["aud"] == webpush.server.origin
    assert delivered.claims["sub"] == SUBJECT
    assert delivered.headers["topic"] == push_ids.topic(make_notification())


async def test_a_batch_shares_one_connection_and_one_signature(
    webpush: WebpushService,
) -> None:
    browsers = [webpush.server.subscribe() for _ in range(200)]

    reports = await webpush.send(targets(*browsers))

    inbox = webpush.server.inbox
    assert reports.kinds() == ["accepted"] * 200
    assert {id(push.browser) for push in inbox} == {id(b) for b in browsers}
    assert len(webpush.server.peer.connections) == 1
    assert len({push.headers["authorization"] for push in inbox}) == 1


async def test_every_try_of_a_message_has_the_same_topic(
    webpush: WebpushService,
) -> None:
    [target] = targets(webpush.server.subscribe())

    await webpush.send([target])
    await webpush.send([target._replace(attempts=1)])

    topics = [delivered.headers["topic"] for delivered in webpush.server.inbox]
    assert len(topics) == 2
    assert len(set(topics)) == 1


async def test_an_expired_message_is_delivered_now_or_never(
    webpush: WebpushService,
) -> None:
    await webpush.send(targets(webpush.server.subscribe()), expires_at=utc_now())

    assert webpush.server.inbox[0].headers["ttl"] == "0"


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
async def test_the_status_is_the_devices_outcome(
    webpush: WebpushService, status: int, kind: Kind
) -> None:
    told, other = webpush.server.subscribe(), webpush.server.subscribe()
    webpush.server.tell(told, status, b"{}", retry_after="7")

    reports = await webpush.send(targets(told, other))

    outcome = reports.by_device[1]
    assert outcome.kind is kind
    assert outcome.retry_after_s == (7 if kind is Kind.LATER else None)
    assert reports.by_device[2].kind is Kind.ACCEPTED


async def test_a_text_that_is_too_long_for_a_service_arrives_cut(
    webpush: WebpushService,
) -> None:
    """Firefox for Android has less space, because its pushes go through FCM."""
    phone, desktop, other = [webpush.server.subscribe() for _ in range(3)]
    path = urlsplit(phone.endpoint).path
    webpush.server.most_bytes[path] = 2744 + 103

    reports = await webpush.send(targets(phone, desktop, other), text="ß" * 1900)

    assert reports.kinds() == ["accepted"] * 3
    bodies = {push.browser.endpoint: push.payload for push in webpush.server.inbox}
    assert bodies[desktop.endpoint]["body"] == "ß" * 1900
    cut = bodies[phone.endpoint]["body"]
    assert cut.endswith("ß…")
    assert len(cut) > 1000


async def test_a_push_that_is_always_too_long_is_refused(
    webpush: WebpushService,
) -> None:
    phone = webpush.server.subscribe()
    webpush.server.most_bytes[urlsplit(phone.endpoint).path] = 100

    reports = await webpush.send(targets(phone), text="ß" * 1900)

    assert reports.by_device[1].kind is Kind.REFUSED
    assert webpush.request_count() == 2


async def test_a_browser_that_subscribed_with_another_key_affects_no_other(
    webpush: WebpushService,
) -> None:
    other_key = push_service.b64(Browser().point)
    foreign = webpush.server.subscribe(other_key)
    ours = webpush.server.subscribe(vapid.public_key(webpush.settings))

    first = await webpush.send(targets(foreign, ours))
    second = await webpush.send(targets(foreign, ours))

    assert first.kinds() == second.kinds() == ["suspect", "accepted"]


async def test_an_invalid_subscription_affects_no_other(
    webpush: WebpushService,
) -> None:
    broken = make_target(9, '{"endpoint":"https://x.example/"}')

    reports = await webpush.send([broken, *targets(webpush.server.subscribe())])

    assert reports.by_device[9].kind is Kind.SUSPECT
    assert reports.by_device[9].reason == "the subscription has no keys"
    assert reports.by_device[1].kind is Kind.ACCEPTED


async def test_an_unreadable_key_keeps_the_devices(webpush: WebpushService) -> None:
    file = webpush.settings.run_dir / "own.pem"
    file.write_text("no key")
    webpush.configure(vapid_key_file=file)

    reports = await webpush.send(targets(Browser()))

    assert reports.kinds() == ["credentials"]
    assert "own.pem" in reports.by_device[1].reason


async def test_without_a_contact_there_is_no_web_push(
    webpush: WebpushService,
) -> None:
    settings = replace(webpush.settings, vapid_subject=None)

    created = registry.create(settings, FakeTokens(), RecordedTroubles())

    assert "webpush" not in created
